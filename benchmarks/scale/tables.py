"""The tables of docs/scale.md, in Markdown, from stored results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from timing import markdown, place

from scale.constants import Constants
from scale.plan import LATENCY
from scale.project import projections

__all__ = ["MISSING", "markdown", "place", "tables"]

MISSING = "*Not measured yet: `python benchmarks/scale/device.py` on a machine with a GPU.*"


def tables(report: dict[str, Any], device: dict[str, Any] | None) -> dict[str, str]:
    """Name in docs/scale.md -> Markdown."""
    constants = Constants.from_json(report["constants"])
    found = {"compare": compared(report), "constants": measured(constants)}
    names = ("device", "cost", "storage", "load", "limits")
    if device is None:
        return {**found, **dict.fromkeys(names, MISSING)}
    projected = projections(constants, device)
    views = (devices(device, projected), *(view(projected["runs"]) for view in (cost, storage, load)))
    return {**found, **dict(zip(names, (*views, limits_reached(projected["limits"])), strict=True))}


def compared(report: dict[str, Any]) -> str:
    """Prediction beside measurement; a last row for each number of workers with the sum."""
    rows = []
    for workers in dict.fromkeys(row["workers"] for row in report["compared"]):
        own = [row for row in report["compared"] if row["workers"] == workers]
        sums = {key: sum(row[key] for row in own) for key in ("predicted", "measured")}
        for row in (*own, {"stage": "**all**", **sums}):
            error = row["predicted"] / row["measured"] - 1
            rows.append([workers, row["stage"], f"{row['predicted']:.1f}", f"{row['measured']:.1f}", f"{error:+.0%}"])
    return markdown(["workers", "stage", "predicted, s", "measured, s", "error"], rows)


def measured(constants: Constants) -> str:
    rows: list[list[object]] = []
    for name, cost in constants.stages.items():
        rows += [
            [f"{name}: a sample in a worker", f"{cost.unit * 1e6:,.0f} µs"],
            [f"{name}: until a worker has begun", f"{cost.begin:.2f} s"],
            [
                f"{name}: once; a sample, in the process that makes it",
                f"{cost.fixed:.2f} s; {cost.serial * 1e6:.1f} µs",
            ],
        ]
    rows += [
        ["speed of a core while all are busy", f"{constants.loaded:.2f}"],
        ["commit of a shard on the local disk", f"{constants.commit * 1000:.1f} ms"],
        ["requests to S3 for a shard: worker, commit, at the end", _requests(constants)],
        ["optimiser step of the opponent", f"{constants.step * 1000:.1f} ms"],
        ["manifest, a file", f"{constants.manifest_bytes:.0f} bytes; {_size(constants.file_memory)} of memory"],
        ["a 224x224 sample of a shard in its worker", f"{_size(constants.unit_memory)} of memory"],
        ["comparing keys, a sample", f"{constants.key_seconds * 1e6:.1f} µs"],
        ["hashing the source on a local disk", f"{_size(constants.hash_bytes)}/s"],
        ["Prefect, a task", _task(constants)],
        ["Prefect, a flow run", f"{constants.run_requests:.0f} requests"],
    ]
    return markdown(["what", "here"], rows)


def devices(device: dict[str, Any], projected: dict[str, Any]) -> str:
    rows: list[list[object]] = []
    for name, what in (("forward", "teacher, forward"), ("mine", f"climb of {device['settings']['steps']} steps")):
        rows += [[f"{what}, {precision}", f"{rate:,.0f}"] for precision, rate in device[name].items()]
    rows += [
        ["student, optimiser step, fp32", f"{device['train']:,.0f}"],
        ["JPEG decoded and resized, one core", f"{device['jpeg_decode']:,.0f}"],
        ["PNG encoded, one core", f"{device['png_encode']:,.0f}"],
        [f"PNG encoded, {device['cores']} cores", f"{device['png_encode_all_cores']:,.0f}"],
        ["PNG decoded, one core", f"{device['png_decode']:,.0f}"],
    ]
    rows += [
        [f"share of a GPU that one worker keeps busy: {name}", f"{use:.0%}"] for name, use in projected["use"].items()
    ]
    return markdown([device["machine"]["device"], "samples/s"], rows)


def cost(runs: Sequence[dict[str, Any]]) -> str:
    rows = [
        ["`data.shard_size`; `export.shard_size` at least that", *(f"{run['shard_size']:,}" for run in runs)],
        ["workers per GPU", *(run["workers_per_gpu"] for run in runs)],
    ]
    for name in ("cache", "mine", "train", "all"):
        rows.append([f"GPU hours of work: {name}", *(_hours(run["gpu_hours"][name]) for run in runs)])
    for gpus in runs[0]["hours"]:
        for name in ("cache", "mine", "export", "train", "all"):
            rows.append([f"hours on {_gpus(gpus)}: {name}", *(_hours(run["hours"][gpus][name]) for run in runs)])
    return markdown(_heads(runs), rows)


def storage(runs: Sequence[dict[str, Any]]) -> str:
    rows = [[name, *(_size(run["bytes"][name]) for run in runs)] for name in runs[0]["bytes"]]
    rows += [[f"files: {name}", *(f"{run['files'][name]:,}" for run in runs)] for name in runs[0]["files"]]
    rows += [["largest manifest", *(_size(run["manifest_bytes"]) for run in runs)]]
    return markdown(_heads(runs), rows)


def load(runs: Sequence[dict[str, Any]]) -> str:
    rows = [
        ["memory of the process that makes the artifacts", *(_size(run["memory"]) for run in runs)],
        ["memory of a worker", *(_size(run["worker_memory"]) for run in runs)],
        ["commits per second, possible on an object store", *(f"{run['commits_possible']:.0f}" for run in runs)],
    ]
    for gpus in runs[0]["commits_needed"]:
        needed = (f"{run['commits_needed'][gpus]:.2f}" for run in runs)
        rows.append([f"commits per second of cache on {_gpus(gpus)}", *needed])
    rows += [
        [
            "hashing a source on a local disk, hours in each of three stages",
            *(_hours(run["hash_hours"]) for run in runs),
        ],
        ["comparing keys, hours", *(_hours(run["key_hours"]) for run in runs)],
        ["Prefect tasks", *(run["tasks"] for run in runs)],
    ]
    for gpus in (8, 64):
        for key, what in (("requests_per_minute", "requests"), ("events_per_minute", "events")):
            rows.append(
                [f"Prefect {what} per minute, {_gpus(gpus)}", *(f"{run['server'][gpus][key]:.1f}" for run in runs)]
            )
    return markdown(_heads(runs), rows)


def limits_reached(limits: Iterable[dict[str, Any]]) -> str:
    rows = []
    for limit in limits:
        then = "" if limit["then"] is None else f"{_count(limit['then'])} {limit['unit']}"
        rows.append([limit["what"], f"{_count(limit['default'])} {limit['unit']}", limit["set"], then])
    return markdown(["what", "breaks at, with the defaults", "set", "then breaks at"], rows)


def _requests(constants: Constants) -> str:
    counts = (constants.store_unit, constants.store_commit, constants.store_finish)
    return ", ".join(f"{count:.1f}" for count in counts) + f" (at {LATENCY * 1000:.0f} ms each, assumed)"


def _task(constants: Constants) -> str:
    return (
        f"{constants.task_seconds * 1000:.0f} ms, {constants.task_requests:.1f} requests, "
        f"{constants.task_events:.1f} events, {constants.task_server * 1000:.0f} ms of the server's processor"
    )


def _heads(runs: Sequence[dict[str, Any]]) -> list[str]:
    return ["", *(f"{_count(run['samples'])} samples" for run in runs)]


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _count(count: float) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return f"{count:,.0f}"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 1000 else f"{size:,.0f} TB"
