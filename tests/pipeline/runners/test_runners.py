"""Every runner makes the bytes of one process, also where a worker is killed in the middle of mining."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from pipeline.runners import make_runner
from pipeline.stages import cache, export, mine
from schemas.errors import TransientError, UserError
from schemas.registry import RUNNERS


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNNERS.names if name != "threads"])
def test_a_killed_worker_does_not_change_a_byte(configure, contents, tmp_path: Path, name: str):
    if importlib.util.find_spec({"dask": "distributed"}.get(name, name if name == "ray" else "os")) is None:
        pytest.skip(f"bpkd[{name}] is not installed")
    one, many = configure("threads"), configure(name, workers=2)
    order = tmp_path / "order"
    with make_runner(many) as runner:
        for config, given in ((one, None), (many, runner)):
            cache(config, runner=given)
        order.write_text(str(os.getpid()))
        mine(many, runner=runner)
        assert not order.exists(), "nobody was killed"
        export(many, runner=runner)
    mine(one)
    export(one)
    assert len(contents(many.output)) > 20
    assert contents(many.output) == contents(one.output)


def test_a_cluster_that_runs_already_is_used_and_stays(configure, contents):
    distributed = pytest.importorskip("distributed")
    one = configure("threads")
    cache(one)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        config = configure("dask", workers="all", runner_options={"address": cluster.scheduler_address})
        with make_runner(config) as runner:
            cache(config, runner=runner)
            assert runner.workers == 2
        assert len(cluster.scheduler_info["workers"]) == 1
    assert contents(config.output) == contents(one.output)


def test_a_cluster_that_does_not_answer(configure, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("pipeline.runners.dask.PATIENCE", 0.2)
    config = configure("dask", runner_options={"address": "tcp://127.0.0.1:9"})
    with pytest.raises(TransientError, match=r"Dask cluster at tcp://127\.0\.0\.1:9 does not answer"):
        cache(config)


@pytest.mark.parametrize(
    ("runner", "options", "said"),
    [
        ("threads", {"address": "tcp://a:1"}, "runner 'threads' does not take 'address'"),
        ("ray", {"memory": "much"}, "memory = 'much': takes a size with its unit"),
        ("dask", {"gpus": 1}, r"runner 'dask' does not take 'gpus' \(takes address, device, memory, workers\)"),
    ],
)
def test_wrong_options(configure, runner: str, options: dict[str, object], said: str):
    with pytest.raises(UserError, match=said):
        make_runner(configure(runner, runner_options=options))


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_missing_extra_is_named(configure, monkeypatch, name: str):
    monkeypatch.setattr("pipeline.runners.base.find_spec", lambda package: None)
    with pytest.raises(UserError, match=rf"install bpkd\[{name}\]"):
        make_runner(configure(name))
