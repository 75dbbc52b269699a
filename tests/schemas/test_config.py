"""The config file: what is accepted, what the messages of mistakes say, and that writing it loses nothing."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import dump_config, load_config, parse_config
from schemas.errors import UserError
from schemas.recipes import RECIPES

MINIMAL: dict[str, Any] = {
    "run": {"output": "runs/a"},
    "data": {"train": "data/train"},
    "teacher": {"factory": "models.py:teacher"},
    "student": {"factory": "zoo:cnn"},
}
TOML = """
run.output = "runs/a"
data.train = "data/train"
teacher.factory = "models.py:teacher"
student.factory = "zoo:cnn"
"""
MISSING = object()


def changed(**changes: Any) -> dict[str, Any]:
    """The minimal config with `section__key=value` changes; MISSING removes a key."""
    values = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, key = path.split("__")
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is MISSING:
            del node[key]
        else:
            node[key] = value
    return values


def complaint(values: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(values, origin="c.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"foo": 1}, ["unknown key 'foo'", "the top level takes run, data, teacher"]),
        ({"rounds": 1}, ["unknown key 'rounds'", "did you mean 'run.rounds'?"]),
        ({"mine__stepz": 1}, ["unknown key 'mine.stepz'", "did you mean 'steps'?", "[mine] takes recipe"]),
        ({"mine__recipe": "shared"}, ["unknown recipe 'shared'", "did you mean 'share'?", "takes paper, share"]),
        (
            {"mine__opponent": "fresh", "train__init": "continue"},
            ['train.init = "continue"', 'set train.init = "fresh"'],
        ),
        ({"mine__step_rule": "smooth", "data__kind": "array"}, ["blurs images", "takes l2"]),
        ({"mine__lr": 1}, ["unknown key 'mine.lr'", "did you mean 'train.lr'?"]),
        ({"data__columns__imag": "x"}, ["'data.columns.imag'", "'image'", "[data.columns] takes image, text"]),
        (
            {"run__outptu": "x", "run__output": MISSING},
            ["unknown key 'run.outptu'", "'output'", "(and 1 more problem)"],
        ),
        ({"data": MISSING}, ["section [data] is missing"]),
        ({"run__output": MISSING}, ["run.output is missing", "fsspec URL"]),
        ({"data": 5}, ["data = 5", "should be a section [data]"]),
        ({"data__columns": "x"}, ["data.columns = 'x'", "should be a section [data.columns]"]),
        ({"data__train": 5}, ["data.train = 5", "valid string", "glob"]),
        ({"data__size": [32]}, ["data.size = [32]", "too few values"]),
        ({"data__size": 32}, ["data.size = 32", "should be a list", "[height, width], such as [32, 32]"]),
        ({"run__disk_cache": 20}, ["run.disk_cache = 20", "takes a size with its unit, such as 8GB"]),
        ({"run__disk_cache": "20"}, ["run.disk_cache = '20'", "takes a size with its unit, such as 8GB"]),
        ({"run__disk_cache": [1]}, ["run.disk_cache = [1]", "valid string", '"20GB"']),
        ({"run__device": "gpu"}, ["run.device = 'gpu'", "auto, cpu, cuda"]),
        ({"run__precision": "fp16"}, ["run.precision = 'fp16'", "'fp32', 'bf16' or 'auto'"]),
        ({"run__rounds": "many"}, ["run.rounds = 'many'", "whole number"]),
        ({"mine__step_size": 0}, ["mine.step_size = 0", "greater than 0"]),
        ({"mine__step_size": float("inf")}, ["mine.step_size = inf", "finite"]),
        ({"mine__bounds": [1, 0]}, ["mine: bounds", "low < high"]),
        ({"mine__climbs": 2}, ["mine: climbs > 1", "noise"]),
        ({"mine__start_options": {"std": [1]}}, ["mine.start_options.std = [1]", "should be a number"]),
        ({"train__steps": 1, "train__epochs": 1}, ["train: set steps or epochs, not both"]),
        ({"train__steps": 2, "run__rounds": 2}, ["train.steps = 2 is less than the 3 trainings", "lower run.rounds"]),
        ({"train__source_fraction": "all"}, ["train.source_fraction = 'all'"]),
        ({"teacher__mean": [0.5]}, ["teacher: mean and std go together"]),
        ({"teacher__kwargs": 3}, ["teacher.kwargs = 3", "should be a table"]),
        ({"mine__objective": "l3"}, ["mine.objective = 'l3'", "takes l2, kl, js"]),
        ({"mine__step_rule": "adma"}, ["did you mean 'adam'?"]),
        ({"cache__codec": "fp8"}, ["cache.codec = 'fp8'", "takes fp16, fp32"]),
        ({"data__task": "regression", "train__loss": "kl"}, ["train.loss", "regression takes mse"]),
        ({"data__task": "regression", "mine__objective": "js"}, ["mine.objective", "regression takes l2"]),
        ({"data__task": "regression", "mine__objective": "student"}, ['"student" needs an answer', "takes l2"]),
        ({"data__kind": "array", "mine__start": "cutmix"}, ['"cutmix" is for images', "sample, noise or mixup"]),
        ({"data__kind": "array", "mine__start": "crop"}, ['"crop" is for images', "sample, noise or mixup"]),
    ],
)
def test_a_mistake_is_one_line_with_path_and_remedy(changes: dict[str, Any], parts: list[str]) -> None:
    message = complaint(changed(**changes))
    assert message.startswith("c.toml: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_the_branches_of_a_union_count_as_one_problem() -> None:
    assert "more problem" not in complaint(changed(data__train=5))
    assert "(and 2 more problems)" in complaint(changed(data__train=5, run__seed=-1, run__rounds=-1))


@pytest.mark.parametrize(
    ("task", "loss"), [("classification", "kl"), ("regression", "mse")], ids=["classification", "regression"]
)
def test_the_loss_follows_the_task(task: str, loss: str) -> None:
    assert parse_config(changed(data__task=task)).train.loss == loss


@pytest.mark.parametrize(
    ("train", "steps", "epochs"),
    [({}, 3000, None), ({"steps": 7}, 7, None), ({"epochs": 1.5}, None, 1.5)],
)
def test_the_budget_is_steps_or_epochs(train: dict[str, Any], steps: int | None, epochs: float | None) -> None:
    config = parse_config(changed(train=train))
    assert (config.train.steps, config.train.epochs) == (steps, epochs)


def test_own_code_may_stand_for_a_registered_name() -> None:
    assert parse_config(changed(mine__objective="mine.code:Gap")).mine.objective == "mine.code:Gap"


def write(folder: Path, text: str = TOML) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("run.rounds=9", "run", "rounds", 9),
        ("run.rounds = 9", "run", "rounds", 9),
        ("mine.step_size=0.5", "mine", "step_size", 0.5),
        ("export.include_source=false", "export", "include_source", False),
        ("mine.bounds=[-1, 1]", "mine", "bounds", (-1.0, 1.0)),
        ("run.name=plain words", "run", "name", "plain words"),
        ('run.name="7"', "run", "name", "7"),
        ("run.name=a=b", "run", "name", "a=b"),
        ("student.kwargs={width = 8}", "student", "kwargs", {"width": 8}),
        ("student.kwargs.width=8", "student", "kwargs", {"width": 8}),
    ],
)
def test_set_overrides_a_key(tmp_path: Path, override: str, section: str, key: str, value: Any) -> None:
    config = load_config(write(tmp_path), [override])
    assert getattr(getattr(config, section), key) == value


def test_the_last_set_wins(tmp_path: Path) -> None:
    assert load_config(write(tmp_path), ["run.seed=1", "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("mine.steps", ["--set mine.steps", "SECTION.KEY=VALUE"]),
        ("=3", ["--set =3", "SECTION.KEY=VALUE"]),
        ("mine..steps=3", ["SECTION.KEY=VALUE"]),
        ("run.output.deep=3", ["'output' is a value, not a section"]),
        ("mine.stepz=3", ["c.toml with --set mine.stepz=3", "unknown key 'mine.stepz'"]),
    ],
)
def test_a_wrong_set_says_so(tmp_path: Path, override: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path), [override])
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("absent.toml", None, "no such config file"),
        ("picture.toml", b"\x89PNG\xff", "not valid TOML"),
        ("config.yaml", b"run:\n  output: x\n", "not valid TOML"),
        ("empty.toml", b"", "section [run] is missing"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, name: str, content: bytes | None, part: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a directory; name a config file$"):
        load_config(tmp_path)
    (tmp_path / "config.toml").touch()
    with pytest.raises(UserError, match=rf"is a directory; name {tmp_path}/config.toml$"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("path", "located"),
    [
        ("runs/a", "{root}/runs/a"),
        ("../b", "{parent}/b"),
        ("/abs/c", "/abs/c"),
        ("~/d", "{home}/d"),
        ("s3://bucket/e", "s3://bucket/e"),
        ("simplecache::s3://bucket/f", "simplecache::s3://bucket/f"),
    ],
)
def test_paths_are_relative_to_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, located: str
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    config = load_config(write(tmp_path), [f'run.output="{path}"'])
    root = tmp_path.resolve()
    assert config.output == located.format(root=root, parent=root.parent, home="/home/someone")


def test_dump_fills_in_defaults_and_makes_paths_absolute(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ['data.eval=["e1", "s3://b/e2"]', "teacher.weights=t.pt"])
    (tmp_path / "elsewhere").mkdir()
    again = load_config(write(tmp_path / "elsewhere", dump_config(config)))
    assert again.output == config.output == f"{tmp_path.resolve()}/runs/a"
    assert again.data.train == f"{tmp_path.resolve()}/data/train"
    assert again.data.eval == [f"{tmp_path.resolve()}/e1", "s3://b/e2"]
    assert again.teacher.weights == f"{tmp_path.resolve()}/t.pt"
    assert again.teacher.factory == f"{tmp_path.resolve()}/models.py:teacher"
    assert again.student.factory == "zoo:cnn"
    assert again.mine == config.mine


def test_dump_masks_what_would_let_a_reader_in(tmp_path: Path) -> None:
    urls = ['run.output="sftp://me:hidden@h/o"', 'data.train=["https://h/x?token=hidden"]']
    dumped = dump_config(load_config(write(tmp_path), [*urls, 'teacher.weights="ftp://me:hidden@h/w.pt"']))
    assert "hidden" not in dumped and dumped.count("***") == 3


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
kwargs = st.dictionaries(
    text,
    st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.booleans(), text, st.lists(st.integers())),
)


@given(
    name=text,
    seed=st.integers(0, 2**62),
    options=kwargs,
    budget=st.one_of(
        st.fixed_dictionaries({"steps": st.integers(6, 10**9)}),
        st.fixed_dictionaries({"epochs": st.floats(0, 100, exclude_min=True)}),
    ),
    bounds=st.none() | st.tuples(st.floats(-1e6, 0), st.floats(0, 1e6, exclude_min=True)),
    classes=st.none() | st.integers(1, 1000) | st.lists(text, min_size=1),
)
def test_dump_round_trips(
    name: str, seed: int, options: dict[str, Any], budget: dict[str, Any], bounds: Any, classes: Any
) -> None:
    values = changed(run__name=name, run__seed=seed, student__kwargs=options, train=budget)
    values["run"]["output"] = values["data"]["train"] = "/abs"
    values["teacher"]["factory"] = "package.module:teacher"
    if bounds is not None:
        values["mine"] = {"bounds": bounds}
    if classes is not None:
        values["data"]["classes"] = classes
    config = parse_config(values)
    again = parse_config(tomllib.loads(dump_config(config)))
    assert again.model_dump() == config.model_dump()


@pytest.mark.parametrize("rule", ["sentence", "token"])
def test_step_rules_of_text_are_for_text(rule: str) -> None:
    values = {name: dict(section) for name, section in MINIMAL.items()} | {"mine": {"step_rule": rule}}
    with pytest.raises(UserError, match="is for text; image data takes l2 or sign"):
        parse_config(values)
    parse_config({**values, "data": {**values["data"], "kind": "text"}})


@pytest.mark.parametrize("kind", ["image", "array", "text"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_sets_what_the_config_leaves_out(recipe: str, kind: str) -> None:
    config = parse_config(changed(mine__recipe=recipe, data__kind=kind))
    wanted = RECIPES[recipe].settings(kind)
    assert {key: getattr(config.mine, key) for key in wanted} == wanted


def test_a_key_beside_a_recipe_counts_more(tmp_path: Path) -> None:
    config = parse_config(changed(mine__recipe="share", mine__steps=7))
    assert (config.mine.steps, config.mine.start, config.train.init) == (7, "crop", "fresh")
    file = tmp_path / "resolved.toml"
    file.write_text(dump_config(config))
    assert load_config(file).mine == config.mine


@pytest.mark.parametrize(
    ("key", "value", "options"), [("start", "noise", "start_options"), ("step_rule", "l2", "step_options")]
)
def test_another_name_beside_a_recipe_leaves_its_options_out(key: str, value: str, options: str) -> None:
    mine = parse_config(changed(**{"mine__recipe": "share", f"mine__{key}": value})).mine
    assert getattr(mine, key) == value and getattr(mine, options) == {}
    same = parse_config(changed(mine__recipe="share", **{f"mine__{key}": RECIPES["share"].settings("image")[key]}))
    assert same.mine == parse_config(changed(mine__recipe="share")).mine
