"""Every runner makes the bytes of one process, also where a worker is killed in the middle of mining."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from pipeline.artifacts.artifact import Artifact
from pipeline.runners import Job, Runner, make_runner
from pipeline.runners.dask import DaskRunner
from pipeline.runners.ray import RayRunner
from pipeline.stages import cache, export, mine
from schemas.errors import BpkdError, TransientError, UserError
from schemas.registry import RUNNERS
from tests.pipeline.runners.test_processes import Opener, never


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


def kill(runner: Runner, url: Path) -> None:
    """Of two units in one worker the first kills it: both are named, and it is not for another try."""
    with Artifact(str(url), "thing", {}) as artifact:
        job = Job("x", never, Opener("kills"), artifact.target())
        with pytest.raises(
            BpkdError, match="x: workers were killed 2 times, each time with shards 7-8 under"
        ) as raised:
            list(runner.run(job, [7, 8]))
        assert not isinstance(raised.value, TransientError)
        again = Job("x", never, Opener("works"), artifact.target())
        assert sorted(index for index, _ in runner.run(again, range(4))) == [0, 1, 2, 3]


@pytest.mark.slow
def test_units_that_kill_their_dask_workers(tmp_path: Path):
    pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), DaskRunner(1, "cpu") as runner:
        kill(runner, tmp_path / "a")


@pytest.mark.slow
def test_units_that_kill_their_ray_workers_and_workers_that_ray_has_no_room_for(tmp_path: Path, monkeypatch, capfd):
    if importlib.util.find_spec("ray") is None:  # and not imported here, as the runner does it so that it is silent
        pytest.skip("bpkd[ray] is not installed")
    monkeypatch.setattr("pipeline.runners.ray.RESTARTS", 1)
    with RayRunner(1, "cpu") as runner:
        kill(runner, tmp_path / "a")
        monkeypatch.setattr("pipeline.runners.ray.PATIENCE", 0.2)
        for options, error, said in (
            ({"workers": 2}, UserError, "Ray has room for 1 workers, run.workers = 2; each takes 1 CPU"),
            ({"memory": "4000GB"}, UserError, "has room for 0 .* 4,000 GB of memory, and its nodes are 1 with 1 CPU"),
            ({"gpus_per_worker": 0.5}, UserError, "has room for 0 workers, run.workers = 1; each takes 1 CPU, 0.5 GPU"),
            ({}, TransientError, "Ray has started no worker in 0.2 seconds; the cluster may be busy"),
        ):
            other = RayRunner(**{"workers": 1, "device": "cpu", **options})
            with pytest.raises(error, match=said):
                other.workers  # noqa: B018
            assert not other._actors
        assert runner.workers == 1, "what the others have asked for has ended it"
    assert "".join(capfd.readouterr()) == ""


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
    with pytest.raises(UserError, match=r"runner_options: address = 'nothing://x:1': unknown address scheme"):
        cache(configure("dask", runner_options={"address": "nothing://x:1"}))


def test_a_ray_cluster_that_does_not_answer(configure):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("bpkd[ray] is not installed")
    config = configure("ray", runner_options={"address": "127.0.0.1:9"})
    with pytest.raises(TransientError, match=r"Ray cluster at 127\.0\.0\.1:9 does not answer: nobody listens there"):
        cache(config)


@pytest.mark.parametrize(
    ("runner", "options", "said"),
    [
        ("threads", {"address": "tcp://a:1"}, "runner 'threads' does not take 'address'"),
        ("ray", {"memory": "much"}, "memory = 'much': takes a size with its unit"),
        ("dask", {"address": "scheduler"}, "address = 'scheduler': takes tcp://HOST:PORT of a scheduler"),
        ("ray", {"address": "ray://head:1"}, "address = 'ray://head:1': takes \"auto\" or HOST:PORT of a cluster"),
        ("ray", {"memory": 8}, "memory = 8: takes a size with its unit"),
        ("ray", {"address": 1}, "address = 1: takes a text"),
        ("ray", {"gpus_per_worker": "one"}, "gpus_per_worker = 'one': takes a number, 0 or above"),
        ("dask", {"memory": "8 bananas"}, "memory = '8 bananas': takes a size with its unit, such as 8GB"),
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
