"""Samples that failed are tried again on request, and only they."""

from __future__ import annotations

import shutil
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import layout
from pipeline.mining import ascent
from pipeline.stages import cache, export, mine
from schemas.errors import UserError


def damage(path, row: int) -> None:
    """Replace the image in a row by bytes that are none."""
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    images[row]["bytes"] = b"broken"
    pq.write_table(table.set_column(0, "image", pa.array(images, table["image"].type)), path)


def failing_once(real):
    """The first climb of every batch fails."""

    def failing(*models, **settings):
        climb = real(*models, **settings)
        climb.finite[0] = False
        return climb

    return failing


@pytest.fixture
def two_files(configure, tmp_path):
    """A source of two files of 20, of which the second has a broken image in row 3; returns (config, mend)."""
    table = pq.read_table(tmp_path / "train.parquet")
    (tmp_path / "source").mkdir()
    for number in range(2):
        pq.write_table(table.slice(20 * number, 20), tmp_path / "source" / f"{number}.parquet")
    good = (tmp_path / "source" / "1.parquet").read_bytes()
    damage(tmp_path / "source" / "1.parquet", 3)

    def mend() -> None:
        (tmp_path / "source" / "1.parquet").write_bytes(good)

    return lambda **run: configure(data={"train": "source"}, run=run), mend


def times(url: str) -> dict[str, int]:
    from pathlib import Path

    return {path.name: path.stat().st_mtime_ns for path in Path(url).glob("*.parquet")}


def test_a_mended_file_is_cached_again_and_ends_as_if_it_had_never_failed(two_files, files):
    config, mend = two_files
    url = layout.teacher_logits(config().output)
    manifest = cache(config())
    assert manifest.failures == 1 and manifest.samples == 39
    assert b'"unit": "shard-00002.parquet"' in files(url)["failures.jsonl"]
    before = times(url)
    mend()
    with pytest.raises(UserError, match=r"of the file 1\.parquet"):
        cache(config())
    retried = cache(config(), retry_failed=True)
    assert retried.failures == 0 and retried.samples == 40
    changed = {name for name, time in times(url).items() if time != before[name]}
    assert changed == {"shard-00002.parquet", "shard-00003.parquet"}  # of the mended file, and no others
    cache(config(output="whole"))
    assert files(url) == files(layout.teacher_logits(config(output="whole").output))


def test_what_still_fails_stays_as_it_is(two_files, files):
    config, _ = two_files
    cache(config())
    before = files(config().output)
    assert cache(config(), retry_failed=True).failures == 1
    assert files(config().output) == before


def test_another_file_that_has_changed_is_refused(two_files, tmp_path):
    config, mend = two_files
    cache(config())
    mend()
    damage(tmp_path / "source" / "0.parquet", 3)
    with pytest.raises(UserError, match=r"of the file 0\.parquet"):
        cache(config(), retry_failed=True)


def test_a_mended_file_with_other_rows_is_refused(two_files, tmp_path):
    config, mend = two_files
    cache(config())
    mend()
    path = tmp_path / "source" / "1.parquet"
    pq.write_table(pq.read_table(path).slice(0, 19), path)
    with pytest.raises(UserError, match=r"of the file 1\.parquet"):
        cache(config(), retry_failed=True)


def test_a_climb_that_failed_is_climbed_again_and_later_rounds_after_it(configure, files, monkeypatch):
    config, whole = configure(), configure(run={"output": "whole"})
    for each in (config, whole):
        cache(each)
    mine(whole)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.work.climbers.base.ascend", failing_once(ascent.ascend))
        first, second = mine(config)
    assert first.failures == second.failures > 0
    again = mine(config, retry_failed=True)
    assert [manifest.failures for manifest in again] == [0, 0]
    assert files(config.output) == files(whole.output)
    assert export(config).samples == export(whole).samples


@pytest.mark.parametrize("stage", ["cache", pytest.param("mine", marks=pytest.mark.slow)])
def test_a_retry_that_is_broken_off_is_gone_on_with(two_files, configure, files, monkeypatch, stopped, stage):
    """Stopped at any write and given again, the same command ends as if nothing had ever failed."""
    config, mend = two_files
    if stage == "mine":
        config = lambda **run: configure(run=run)  # noqa: E731
    first = config(output="first")
    with monkeypatch.context() as patch:
        if stage == "mine":
            cache(first)
            patch.setattr("pipeline.work.climbers.base.ascend", failing_once(ascent.ascend))
        (mine if stage == "mine" else cache)(first)
    mend()
    whole = config(output="whole")
    cache(whole), mine(whole) if stage == "mine" else None
    for writes in range(100):
        broken = config(output=f"broken-{writes}")
        shutil.copytree(first.output, broken.output)
        command = mine if stage == "mine" else cache
        if not stopped(partial(command, broken, retry_failed=True), writes):
            break
        command(broken, retry_failed=True)
        assert files(broken.output) == files(whole.output), f"stopped after {writes} writes"
    assert writes > 5


def test_without_failures_nothing_is_done_again(configure):
    cache(configure()), mine(configure())
    before = times(layout.auxiliary(configure().output, 1))
    cache(configure(), retry_failed=True), mine(configure(), retry_failed=True)
    assert times(layout.auxiliary(configure().output, 1)) == before
