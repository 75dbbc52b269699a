"""What mkdocs does to every page: puts in sections of README.md and generated parts, and mends links out of docs/.

A comment alone on a line, with a line for those who read the file as it is below it, stands for what it names:

    <!-- readme: the-words -->
    [The words](../README.md#the-words)
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import readme
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = readme.ROOT
GENERATED: dict[str, Callable[[], str]] = {
    "config": reference.config_keys,
    "commands": reference.commands,
    "registries": reference.registries,
}
MARKER = re.compile(r"^<!-- (readme|generated): ([\w-]+) -->\n(?:.*\S.*\n?)?", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|/)([^)#\s]*)(#[^)\s]*)?(?=\))")

log = logging.getLogger("mkdocs.hooks.pages")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    place = posixpath.dirname(page.file.src_uri)

    def put(marker: re.Match[str]) -> str:
        kind, name = marker.groups()
        if kind == "generated":
            return GENERATED[name]() + "\n"
        section = _readme().get(name)
        if section is None:
            log.warning("%s: README.md has no section #%s", page.file.src_uri, name)
            return ""
        return LINK.sub(lambda link: _mended(link, "..", page, config, files), section) + "\n"

    # A link of the page is relative to the page, one of README.md to the root of the repository.
    parts = re.split(MARKER, markdown)
    own = [LINK.sub(lambda link: _mended(link, place, page, config, files), part) for part in parts[::3]]
    put_in = [put(marker) for marker in MARKER.finditer(markdown)]
    return "".join(text for pair in zip(own, [*put_in, ""], strict=True) for text in pair)


def _mended(link: re.Match[str], folder: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The target of a link, from a page of the site: another page, or a copy of a file of the repository."""
    target, anchor = link[1], link[2] or ""
    if not target and folder != "..":
        return link[0]
    path = posixpath.normpath(posixpath.join("docs", folder, target)) if target else "README.md"
    if path.startswith("docs/"):
        found = path.removeprefix("docs/")
    elif path == "README.md":
        found, anchor = _page_of(anchor.removeprefix("#"), config.docs_dir), ""
    elif path == "CONTRIBUTING.md":
        found = "contributing.md"
    elif (ROOT / path).is_file():
        found = _copied(path, config, files)
    else:
        return link[0]  # mkdocs will say so
    return posixpath.relpath(found, posixpath.dirname(page.file.src_uri) or ".") + anchor


def _copied(path: str, config: MkDocsConfig, files: Files) -> str:
    """A file of the repository in the site; code as text, which browsers show."""
    uri = f"files/{path}" if path.endswith(".json") else f"files/{path}.txt"
    if files.get_file_from_path(uri) is None:
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return uri


@cache
def _readme() -> dict[str, str]:
    return readme.sections((ROOT / "README.md").read_text(encoding="utf-8"))


@cache
def _page_of(slug: str, docs: str) -> str:
    """The page that shows a section of README.md; the first page where none does."""
    for path in sorted(Path(docs).rglob("*.md")):
        if f"<!-- readme: {slug} -->" in path.read_text(encoding="utf-8"):
            return path.relative_to(docs).as_posix()
    return "index.md"
