"""What every stage of a run takes, as JSON: seconds, bytes and peak memory. `plan_error.py` sets the plan beside it.

    python benchmarks/watched_stages.py CONFIG

The stages one after the other in this process, as `bpkd run --direct` has them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.plan.pilot import watched
from pipeline.runners.base import make_runner
from pipeline.stages import cache, evaluate, export, mine, train
from schemas.config import load_config

FOLDERS = {
    "cache": "teacher-logits",
    "mine": "round-*",
    "export": "dataset",
    "train": "student",
    "evaluate": "evaluation",
}


def main(path: str) -> None:
    config = load_config(path)
    found: dict[str, dict[str, float]] = {}

    def watch(stage: Callable[..., Any], **given: Any) -> None:
        _, run = watched(lambda progress: stage(config, progress=progress, **given))
        found[stage.__name__] = {"seconds": run.seconds, "memory": run.memory}

    with make_runner(config) as runner:
        for stage in (cache, mine, export):
            watch(stage, runner=runner)
    for stage in (train, evaluate):
        watch(stage)
    for name, pattern in FOLDERS.items():
        files = [file for folder in Path(config.output).glob(pattern) for file in folder.rglob("*") if file.is_file()]
        found[name]["bytes"] = sum(file.stat().st_size for file in files)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
