"""Where a finished artifact is looked for and none is, one line says what lies there, and what would be right."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from pipeline.artifacts.absent import refuse_file, require_finished
from pipeline.storage import Folder
from schemas.errors import UserError

UNFINISHED = r"is a run that is not finished; `bpkd run CONFIG` makes its data set$"


@pytest.fixture(params=["file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path) -> Iterator[Folder]:
    root = Folder(str(tmp_path) if request.param == "file" else f"memory://{uuid.uuid4()}")
    yield root
    root.remove()


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        (["set/manifest.json"], "set/manifest.json", r"manifest.json is a file; name its directory, .*/set$"),
        (["c.toml"], "c.toml", r"c.toml is a file; name the directory that holds manifest.json"),
        (["run/teacher-logits/manifest.json"], "run", rf"run {UNFINISHED}"),
        (["run/_progress/lock.json", "run/teacher-logits/_progress/begun.json"], "run", rf"run {UNFINISHED}"),
        (["run/round-02/opponent/manifest.json"], "run", rf"run {UNFINISHED}"),
        (["run/teacher-logits/manifest.json"], "run/dataset", rf"dataset does not exist yet: \S*run {UNFINISHED}"),
        (["run/dataset/manifest.json"], "run", "is a run, whose data set is in dataset/; name the directory with its"),
        (["run/dataset/_progress/begun.json"], "run/dataset", "is not finished; .*`bpkd run CONFIG`, goes on"),
        (["other/a"], "other", "has no manifest.json; name the directory with its manifest.json$"),
        (["other/a"], "other/dataset", "dataset does not exist; name the directory"),
        (["set/_progress/transfer.json"], "set", "is a copy that is not complete; run the same `bpkd pull`"),
    ],
)
def test_what_lies_there_instead_is_said(root: Folder, files: list[str], name: str, message: str) -> None:
    for file in files:
        root.write(file, b"{}")
    with pytest.raises(UserError, match=message):
        require_finished(root / name, None)


def test_an_empty_directory_does_exist(tmp_path) -> None:
    with pytest.raises(UserError, match="is empty; name the directory"):
        require_finished(Folder(str(tmp_path)), None)


def test_the_command_that_makes_it_is_named(root: Folder) -> None:
    root.write("c.toml", b"")
    with pytest.raises(UserError, match=r"c.toml is a file; name the directory that `bpkd cache CONFIG` makes$"):
        require_finished(root / "c.toml", "cache CONFIG")


def test_a_directory_is_no_file(root: Folder) -> None:
    root.write("set/manifest.json", b"{}")
    require_finished(root / "set", None)
    for there in (root, root / "set", root / "nothing"):
        refuse_file(there, "another")
    with pytest.raises(UserError, match=re.escape(f"{root.url}/set/manifest.json is a file")):
        refuse_file(root / "set/manifest.json", "another")
