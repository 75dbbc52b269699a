"""Versions of a run side by side: a new one for a source that has grown, another model or other settings.

`run.output` then holds `v001/`, `v002/`, ..., each a run that stands on its own, and `latest.json`, which names the one
that was finished last. A version's `version.json` says what it is made from, and so whether it is still up to date.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts.identity import named_differences
from pipeline.models import pick_device
from pipeline.progress import Progress
from pipeline.runs import CONFIG, is_complete
from pipeline.sources import open_samples
from pipeline.storage import Folder
from pipeline.version import VERSION
from pipeline.work.setup import check_choices, identify_model, open_pair
from schemas.config import Config
from schemas.errors import UserError

RECORD = "version.json"
LATEST = "latest.json"

_NAME = re.compile(r"v\d{3,}")
_ANYWAY: dict[str, Any] = {
    "run": {"name", "output", "device", "runner", "runner_options", "workers", "base", "versions", "disk_cache"},
    "data": {"train", "eval"},
    "teacher": True,
    "student": True,
    "train": {"checkpoint_every"},
}
"""Settings that change nothing in what is made, or that stand in a version's record in another form."""


@dataclass(frozen=True)
class Version:
    """One version of a run.

    Attributes:
        name: such as "v002".
        config: of its run; `run.base` is the version that it takes over from.
        is_new: it was begun just now.
    """

    name: str
    config: Config
    is_new: bool


def open_version(config: Config, progress: Progress) -> Version:
    """The version that a run under `run.versions` is to make, go on with, or find up to date.

    Raises:
        UserError: data or models are wrong, or something else lies in `run.output`.
    """
    root = Folder(config.output)
    if root.exists(CONFIG):
        raise UserError(f"{root.url} is a run without versions; name another run.output, or set run.versions = false")
    wanted = _made_from(_config_of(config, "", None))
    while True:
        names = versions(root)
        last = _record(root, names[-1]) if names else None
        if last is not None and last["made_from"] == wanted:
            return Version(names[-1], _config_of(config, names[-1], last["base"]), is_new=False)
        base = next((name for name in reversed(names) if is_complete(_config_of(config, name, None))), None)
        name = f"v{_number(names[-1]) + 1 if names else 1:03d}"
        record = {"bpkd": VERSION, "base": base, "made_from": wanted}
        if root.create(f"{name}/{RECORD}", json.dumps(record, indent=1).encode()):
            if last is not None:
                _explain(progress, name, names[-1], last["made_from"], wanted)
            return Version(name, _config_of(config, name, base), is_new=True)


def publish(config: Config) -> None:
    """Let `latest.json` name the version whose run this is, if it is one, finished, and none after it is."""
    url, _, name = config.output.rpartition("/")
    root = Folder(url)
    if not (_NAME.fullmatch(name) and root.exists(f"{name}/{RECORD}") and is_complete(config)):
        return
    found = {"version": name, "dataset": f"{name}/dataset", "student": f"{name}/student"}
    before = latest(root)
    if before is None or _number(before) < _number(name):
        root.write(LATEST, (json.dumps(found, indent=1) + "\n").encode())


def latest(root: Folder) -> str | None:
    """Name of the version that was finished last; None before there is one."""
    try:
        return str(json.loads(root.read(LATEST))["version"])
    except FileNotFoundError:
        return None


def versions(root: Folder) -> list[str]:
    """Names of all versions, the oldest first."""
    return sorted((name for name in root.folders() if _NAME.fullmatch(name)), key=_number)


def _number(name: str) -> int:
    return int(name[1:])


def _config_of(config: Config, name: str, base: str | None) -> Config:
    """The config of one version's own run."""
    output = f"{config.output}/{name}"
    changed = {"output": output, "versions": False, "base": f"{config.output}/{base}" if base else config.run.base}
    return config.model_copy(update={"run": config.run.model_copy(update=changed)})


def _made_from(config: Config) -> dict[str, Any]:
    """Everything that decides what a version holds."""
    check_choices(config)
    device = pick_device(config.run.device)
    samples = open_samples(config)
    teacher, student, _ = open_pair(config, samples, device)
    found = {
        **config.model_dump(mode="json", exclude=_ANYWAY),
        "source": samples.fingerprint(),
        "eval": open_samples(config, "eval").fingerprint() if config.data.eval is not None else None,
        "teacher": identify_model(config, "teacher", teacher),
        "student": identify_model(config, "student", student),
    }
    return dict(json.loads(json.dumps(found)))


def _record(root: Folder, name: str) -> dict[str, Any] | None:
    """What a version is made from; None where a directory of that name holds something else."""
    try:
        found: dict[str, Any] = json.loads(root.read(f"{name}/{RECORD}"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{root.url}/{name}/{RECORD}: damaged: {error}") from None
    return found


def _explain(progress: Progress, name: str, last: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Say why there is a new version."""
    old, new = found["source"]["files"], wanted["source"]["files"]
    grown = {**wanted, "source": {**wanted["source"], "files": old}} == found and old.items() <= new.items()
    if grown:
        count = len(new) - len(old)
        progress.say(f"version {name}: {count:,} new {'file' if count == 1 else 'files'} in the source since {last}")
        return
    changed = named_differences(found, wanted)
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    progress.say(f"version {name}: {changed[0]}{more} is another than in {last}")
