"""Imports run one way, rooms without files stay without files, and every registered name can be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import registry
from schemas.registry import Registry

ROOT = Path(__file__).parent.parent
ROOMS = ["cli", "flows", "pipeline", "schemas"]
"""In the order in which imports may run: from left to right."""

FILELESS = ("pipeline/mining/", "pipeline/logits/", "pipeline/distill/")
FILES = {"pathlib", "os", "io", "shutil", "tempfile", "fsspec", "glob"} | {
    f"pipeline.{room}" for room in ("storage", "shards", "sources", "stages", "work", "layout")
}

MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that a module imports, wherever in it, with the names that may be modules themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def within(module: str, packages: set[str] | list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    forbidden = ROOMS[: ROOMS.index(room)]
    if room in {"pipeline", "schemas"}:
        forbidden = [*forbidden, "prefect", "click"]
    assert [module for module in imports(parsed(path)) if within(module, forbidden)] == []


@pytest.mark.parametrize("path", [path for path in MODULES if name(path).startswith(FILELESS)], ids=name)
def test_mining_logits_and_distill_know_nothing_of_files(path: Path) -> None:
    tree = parsed(path)
    assert [module for module in imports(tree) if within(module, FILES)] == []
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert [call.id for call in calls if isinstance(call, ast.Name) and call.id == "open"] == []


def test_the_walk_finds_imports_wherever_they_are() -> None:
    code = "import a.b\nfrom c import d\ndef f():\n    if True:\n        from e.f import g as h\n"
    assert set(imports(ast.parse(code))) == {"a.b", "c", "c.d", "e.f", "e.f.g"}


ENTRIES = [(known, entry) for known in vars(registry).values() if isinstance(known, Registry) for entry in known.names]


@pytest.mark.parametrize(("known", "entry"), ENTRIES, ids=[f"{known.what}-{entry}" for known, entry in ENTRIES])
def test_every_registered_name_can_be_imported(known: Registry, entry: str) -> None:
    assert callable(known.load(entry))
