"""Versions side by side: when a run goes on, when it is up to date, and when the next version is begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets import open_dataset
from pipeline.latest import LATEST, advised, latest
from pipeline.progress import Silent
from pipeline.report import write_report
from pipeline.runs import is_complete, refuse_mixing
from pipeline.stages import cache, export, mine, train
from pipeline.storage import Folder
from pipeline.verify import verify
from pipeline.versions import newest_version, open_version, publish
from schemas.config import Config, parse_config
from schemas.errors import UserError

SILENT = Silent()


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def add(tmp_path: Path) -> Callable[[str], None]:
    """`add("b")` adds a file of six vectors to the source."""

    def write(name: str) -> None:
        generator = np.random.default_rng(ord(name))
        (tmp_path / "data").mkdir(exist_ok=True)
        np.savez(tmp_path / "data" / f"{name}.npz", x=generator.normal(size=(6, 3)), y=np.array([0, 1] * 3))

    return write


@pytest.fixture
def configure(tmp_path: Path, add: Callable[[str], None]) -> Callable[..., Config]:
    add("a")

    def build(**changes: dict[str, Any]) -> Config:
        values: dict[str, dict[str, Any]] = {
            "run": {"output": "all", "rounds": 1, "device": "cpu", "versions": True},
            "data": {"kind": "array", "train": "data", "classes": 2},
            "teacher": {"factory": "zoo:mlp", "kwargs": {"hidden": [4]}},
            "student": {"factory": "zoo:mlp", "kwargs": {"hidden": [2]}},
            "mine": {"steps": 1},
            "train": {"steps": 3, "batch_size": 4},
        }
        merged = {name: {**section, **changes.get(name, {})} for name, section in values.items()}
        return parse_config(merged, root=tmp_path)

    return build


def make(config: Config, stages: int = 4) -> Config:
    """The config of the version that a run would make, made as far as that."""
    version = open_version(config, SILENT)
    for stage in (cache, mine, export, train)[:stages]:
        stage(version)
    publish(version)
    return version


def name(version: Config) -> str:
    return version.output.rpartition("/")[2]


def test_a_version_is_gone_on_with_and_then_up_to_date(configure):
    config = configure()
    first = make(config, stages=2)
    assert (name(first), first.run.base) == ("v001", None)
    again = open_version(config, SILENT)
    assert (name(again), is_complete(again)) == ("v001", False)
    make(config)
    assert is_complete(open_version(config, SILENT))
    assert json.loads(Folder(config.output).read(LATEST))["dataset"] == "v001/dataset"


def test_a_grown_source_begins_a_version_on_the_last_finished_one(configure, add):
    config, heard = configure(), Heard()
    make(config)
    add("b")
    second = open_version(config, heard)
    assert (name(second), second.run.base) == ("v002", f"{config.output}/v001")
    assert heard.lines == ["version v002: 1 new file in the source since v001"]
    make(config, stages=1)
    assert latest(Folder(config.output)) == "v001"
    add("c")
    third = make(config)
    assert (name(third), third.run.base) == ("v003", f"{config.output}/v001")
    assert latest(Folder(config.output)) == "v003"
    publish(second)
    assert latest(Folder(config.output)) == "v003", "the second is not finished"
    assert open_version(config, SILENT).run.base == f"{config.output}/v001", "which decides what is in it"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": {"kwargs": {"hidden": [5]}}}, "teacher.kwargs.hidden"),
        ({"student": {"kwargs": {"hidden": [3]}}}, "student.kwargs.hidden"),
        ({"mine": {"steps": 2}}, "mine.steps"),
        ({"run": {"seed": 1}}, "run.seed"),
        ({"data": {"shuffle": True}}, "data.shuffle"),
    ],
)
def test_another_model_or_setting_begins_a_version(configure, changes, said):
    make(configure())
    heard = Heard()
    assert name(open_version(configure(**changes), heard)) == "v002"
    assert len(heard.lines) == 1
    assert heard.lines[0] == f"version v002: {said} is not as in v001"


def test_a_file_that_is_gone_is_named(configure, add, tmp_path):
    add("b")
    make(configure(), stages=1)
    (tmp_path / "data" / "b.npz").unlink()
    heard = Heard()
    assert name(open_version(configure(), heard)) == "v002"
    assert heard.lines == ["version v002: b.npz of v001 is no longer in the source"]


@pytest.mark.parametrize(
    "changes",
    [
        {"run": {"workers": 3}},
        {"run": {"name": "other"}},
        {"run": {"runner": "processes"}},
        {"run": {"disk_cache": "1GB"}},
        {"train": {"tensorboard": True, "checkpoint_every": 1}},
    ],
    ids=str,
)
def test_what_changes_nothing_makes_no_version(configure, changes):
    make(configure(), stages=1)
    assert name(open_version(configure(**changes), SILENT)) == "v001"


def test_a_run_without_versions_is_not_mixed_with_them(configure):
    cache(configure(run={"versions": False}))
    with pytest.raises(UserError, match="is a run without versions"):
        open_version(configure(), SILENT)


def test_stages_take_the_config_of_a_version(configure):
    with pytest.raises(UserError, match="open_version"):
        cache(configure())


def test_what_was_wanted_before_is_found_again(configure):
    first, other = configure(), configure(mine={"steps": 2})
    make(first)
    make(other)
    assert latest(Folder(first.output)) == "v002"
    again = make(first)
    assert name(again) == "v001"
    assert latest(Folder(first.output)) == "v001"


def test_a_version_takes_over_from_the_most_alike_that_is_there(configure, add):
    config = configure()
    make(config)
    make(configure(mine={"steps": 2}))
    make(configure(teacher={"kwargs": {"hidden": [5]}}), stages=1)
    add("b")
    assert open_version(config, SILENT).run.base == f"{config.output}/v001", "mined in the same way"
    more = configure(run={"rounds": 2})
    assert open_version(more, SILENT).run.base == f"{config.output}/v002", "the newest logits of this teacher"


@pytest.mark.slow
def test_versions_stand_on_their_own(configure, add):
    config = configure()
    make(config)
    add("b")
    make(config)
    Folder(f"{config.output}/v001").remove()
    second = make(config)
    assert (name(second), is_complete(second)) == ("v002", True)
    add("c")
    make(config, stages=1)
    Folder(f"{config.output}/v002").remove()
    fourth = make(config)
    assert (name(fourth), fourth.run.base) == ("v004", f"{config.output}/v003")


def test_begun_anew_a_version_takes_nothing_over(configure, add):
    config = configure()
    make(config)
    add("b")
    make(config)
    anew = open_version(config, SILENT, restart=True)
    assert (name(anew), anew.run.base) == ("v002", None)
    assert open_version(config, SILENT).run.base is None


def test_the_newest_version_is_that_of_single_stages(configure, add):
    config = configure()
    with pytest.raises(UserError, match="holds no version yet"):
        newest_version(config)
    make(config)
    add("b")
    assert name(newest_version(config)) == "v001"


def test_a_run_does_not_go_where_versions_are(configure):
    make(configure(), stages=1)
    with pytest.raises(UserError, match=r"holds versions; set run\.versions = true"):
        refuse_mixing(configure(run={"versions": False}))


def test_a_run_does_not_go_into_an_artifact(configure, tmp_path):
    (tmp_path / "data-set").mkdir()
    (tmp_path / "data-set" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="is a finished artifact"):
        refuse_mixing(configure(run={"versions": False, "output": str(tmp_path / "data-set")}))


@pytest.mark.parametrize(("output", "refused"), [("source", True), ("source/runs/a", True), ("source-runs", False)])
def test_a_run_does_not_go_into_the_data_that_it_reads(configure, tmp_path, output, refused):
    run = {"versions": False, "output": str(tmp_path / output)}
    config = configure(run=run, data={"train": str(tmp_path / "source/")})
    with pytest.raises(UserError, match=r"lies in data\.train") if refused else nullcontext():
        refuse_mixing(config)


def test_who_names_all_versions_is_told_the_last_finished_one(configure, add):
    config = configure()
    make(config, stages=1)
    root = config.output
    assert advised(Folder(root)).endswith(f"none of them finished; of the last name {root}/v001")
    make(config)
    add("b")
    make(config, stages=1)  # begins v002
    for command, part in ((write_report, ""), (verify, ""), (open_dataset, "/dataset")):
        with pytest.raises(UserError, match=f"{root} holds versions of a run; of the last finished one name") as told:
            command(root)
        assert str(told.value).endswith(f" {root}/v001{part}")
    assert advised(Folder(f"{root}/v001")) is None


@pytest.mark.parametrize("found", ["{", "[]", '{"version": "../v001"}', '{"version": 1}', "{}", " " * 20_000 + "{}"])
def test_a_damaged_pointer_names_nothing(tmp_path, found):
    (tmp_path / "latest.json").write_text(found)
    assert latest(Folder(str(tmp_path))) is None


def test_a_record_of_what_changes_nothing_is_still_found(configure):
    config = configure()
    make(config, stages=1)
    root = Folder(config.output)
    record = json.loads(root.read("v001/version.json"))
    record["made_from"]["train"]["tensorboard"] = False
    root.write("v001/version.json", json.dumps(record).encode())
    assert name(open_version(config, SILENT)) == "v001"
