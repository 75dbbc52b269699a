"""Whatever a config holds: a Config, or one line on what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.config import Config, dump_config, load_config, parse_config
from schemas.errors import UserError

GOOD = {
    "run": {"output": "out"},
    "data": {"train": "t"},
    "teacher": {"factory": "zoo:mlp"},
    "student": {"factory": "zoo:mlp"},
}
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.times()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
KEYS = [
    (name, key) for name, field in Config.model_fields.items() for key in getattr(field.annotation, "model_fields", {})
]


def check(values: object, origin: str = "config") -> None:
    try:
        config = parse_config(values, origin=origin)  # type: ignore[arg-type]
    except UserError as error:
        problem = str(error)
    else:
        problem = origin
        assert isinstance(config, Config)
    assert "\n" not in problem and problem.startswith(origin)


@given(values)
def test_any_values(values: object) -> None:
    check(values)


@given(st.lists(st.tuples(st.sampled_from(KEYS), values), min_size=1, max_size=4))
def test_any_values_under_known_keys(changes: list[tuple[tuple[str, str], object]]) -> None:
    merged: dict[str, dict[str, object]] = {name: dict(section) for name, section in GOOD.items()}
    for (section, key), value in changes:
        merged.setdefault(section, {})[key] = value
    check(merged)


def load(path, text: str, overrides: Sequence[str] = ()) -> Config | None:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return load_config(path, overrides)
    except UserError as error:
        problem = str(error)
    assert "\n" not in problem
    return None


WORDS = [*"[]{}=.\"'\n1-x", "[[", "]]", '"""', "run", "data", "output", "train"]


@relaxed
@given(st.text() | st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
def test_any_text(tmp_path, text: str) -> None:
    load(tmp_path / "c.toml", text)


@relaxed
@given(st.binary(max_size=100))
def test_any_bytes(tmp_path, data: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(data)
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        load_config(tmp_path / "c.toml")


BASE = 'run.output = "o"\ndata.train = "t"\nteacher.factory = "zoo:mlp"\nstudent.factory = "zoo:mlp"\n'
ABSURD = {
    "nested lists": "a = " + "[" * 10_000,
    "nested lists that end": f"a = {'[' * 5000}{']' * 5000}",
    "nested tables": "a = " + "{b=" * 10_000,
    "dotted key": ".".join("a" * 5000) + " = 1",
    "nested kwargs": f"teacher.kwargs.a = {'[' * 150}{']' * 150}",
    "dotted kwargs": f"teacher.kwargs.{'.'.join('a' * 900)} = 1",
    "digits": f"run.seed = {'9' * 10_000}",
    "large number": f"run.seed = {10**400}",
    "large float": "train.lr = 1e400",
    "not a number": "train.lr = nan",
    "large size": f'export.shard_size = "{"9" * 500}GB"',
    "year": "run.name = 99999-01-01",
    "bytes of zero": "run.name = 'a\\0b'",
    "size of zero": 'export.shard_size = "0MB"',
    "surrogate": 'run.name = "\\ud800"',
}


@pytest.mark.parametrize("text", ABSURD.values(), ids=ABSURD)
def test_absurd_text(tmp_path, text: str) -> None:
    config = load(tmp_path / "c.toml", BASE + text)
    if config is not None:
        written = dump_config(config)
        again = load(tmp_path / "again.toml", written)
        assert again is not None and dump_config(again) == written


@relaxed
@given(st.lists(st.text(max_size=20) | st.sampled_from([f"mine.steps={text}" for text in ABSURD.values()]), max_size=3))
def test_any_overrides(tmp_path, overrides: list[str]) -> None:
    load(tmp_path / "c.toml", BASE, overrides)
