"""Versions of a run side by side: a new one for a source that has grown, another model or other settings.

`run.output` then holds `v001/`, `v002/`, ..., each a run that stands on its own, and `latest.json`, which names the one
that was finished last. A version's `version.json` says what it is made from, and so whether it is still up to date.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline import layout
from pipeline.artifacts.identity import named_differences, without
from pipeline.latest import LATEST, VERSION_NAME, latest, versions
from pipeline.models import pick_device
from pipeline.progress import Progress
from pipeline.runs import RECORD, is_complete, refuse_mixing
from pipeline.sources import open_samples
from pipeline.storage import Folder
from pipeline.version import VERSION
from pipeline.work.setup import check_choices, identify_model, open_pair
from schemas.anyway import ANYWAY
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import MANIFEST

_ANYWAY: dict[str, Any] = {
    **{section: set(keys) for section, keys in ANYWAY.items()},
    "data": {"train", "eval"},
    "teacher": True,
    "student": True,
}
"""Settings that change nothing in what is made, or that stand in a version's record in another form."""


def open_version(config: Config, progress: Progress, *, restart: bool = False) -> Config:
    """The config of the version that a run under `run.versions` is to make, go on with, or find up to date.

    Args:
        config: with `run.versions`.
        progress: told why a version is begun.
        restart: what the version holds is to be made anew, all of it.

    Returns:
        The config of its own run; its `run.base` is the version that it takes over from.

    Raises:
        UserError: data or models are wrong, or something else lies in `run.output`.
    """
    refuse_mixing(config)
    root = Folder(config.output)
    wanted = _made_from(_config_of(config, "", None))
    while True:
        names = versions(root)
        records = {name: record for name in reversed(names) if (record := _record(root, name)) is not None}
        for name, record in records.items():
            if record["made_from"] == wanted and restart:
                root.write(f"{name}/{RECORD}", _packed(None, wanted))
                return _config_of(config, name, None)
            if record["made_from"] == wanted and _can_go_on(config, name, record):
                return _config_of(config, name, record["base"])
        base = None if restart else _base(root, records, wanted)
        name = f"v{_number(names[-1]) + 1 if names else 1:03d}"
        if root.create(f"{name}/{RECORD}", _packed(base, wanted)):
            if records:
                last = next(iter(records))
                _explain(progress, name, last, records[last]["made_from"], wanted)
            return _config_of(config, name, base)


def newest_version(config: Config) -> Config:
    """The config of the version that was begun last.

    Raises:
        UserError: there is none.
    """
    root = Folder(config.output)
    for name in reversed(versions(root)):
        if (record := _record(root, name)) is not None:
            return _config_of(config, name, record["base"])
    raise UserError(f"{root.url} holds no version yet; begin one with `bpkd run CONFIG` or `bpkd cache CONFIG`")


def publish(config: Config) -> None:
    """Let `latest.json` name the version whose run this is, if it is one, and finished."""
    url, _, name = config.output.rpartition("/")
    root = Folder(url)
    if (
        VERSION_NAME.fullmatch(name)
        and root.exists(f"{name}/{RECORD}")
        and is_complete(config)
        and latest(root) != name
    ):
        found = {"version": name, "dataset": f"{name}/dataset", "student": f"{name}/student"}
        root.write(LATEST, (json.dumps(found, indent=1) + "\n").encode())


def _can_go_on(config: Config, name: str, record: dict[str, Any]) -> bool:
    """Whether a version is finished, or what it takes over is still there."""
    base = record["base"]
    if base is None or is_complete(_config_of(config, name, None)):
        return True
    return Folder(layout.teacher_logits(f"{config.output}/{base}")).exists(MANIFEST)


def _base(root: Folder, records: dict[str, dict[str, Any]], wanted: dict[str, Any]) -> str | None:
    """The version to take over from: the newest that was mined in the same way, else the newest with such logits."""
    last = layout.auxiliary("", max(wanted["run"]["rounds"], 1))
    for alike, needed in ((_mined_alike, last), (_cached_alike, layout.teacher_logits(""))):
        for name, record in records.items():
            if alike(record["made_from"], wanted) and root.exists(f"{name}{needed}/{MANIFEST}"):
                return name
    return None


def _mined_alike(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether two versions differ in nothing but the source, and in what comes after mining."""
    return without(found, "source", "eval", "export") == without(wanted, "source", "eval", "export")


def _cached_alike(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return bool(found["teacher"] == wanted["teacher"] and found["cache"] == wanted["cache"])


def _packed(base: str | None, made_from: dict[str, Any]) -> bytes:
    return json.dumps({"bpkd": VERSION, "base": base, "made_from": made_from}, indent=1).encode()


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
    found: dict[str, Any] = {
        **config.model_dump(mode="json", exclude=_ANYWAY),
        "source": samples.fingerprint(),
        "eval": open_samples(config, "eval").fingerprint() if config.data.eval is not None else None,
        "teacher": identify_model(config, "teacher", teacher),
        "student": identify_model(config, "student", student),
    }
    made_from: dict[str, Any] = _without_none(json.loads(json.dumps(found)))
    return made_from


def _without_none(value: Any) -> Any:
    """A key that is not set is as good as one that an earlier version did not know."""
    if not isinstance(value, dict):
        return value
    return {name: _without_none(inner) for name, inner in value.items() if inner is not None}


def _record(root: Folder, name: str) -> dict[str, Any] | None:
    """What a version is made from; None where a directory of that name holds something else."""
    try:
        found: dict[str, Any] = json.loads(root.read(f"{name}/{RECORD}"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{root.url}/{name}/{RECORD}: damaged: {error}") from None
    for section, keys in ANYWAY.items():  # which earlier versions of bpkd may have noted
        for key in keys:
            found["made_from"].get(section, {}).pop(key, None)
    return found


def _explain(progress: Progress, name: str, last: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Say why there is a new version."""
    old, new = found["source"]["files"], wanted["source"]["files"]
    grown = {**wanted, "source": {**wanted["source"], "files": old}} == found and old.items() <= new.items()
    if grown:
        count = len(new) - len(old)
        progress.say(f"version {name}: {count:,} new {'file' if count == 1 else 'files'} in the source since {last}")
        return
    missing = [file for file in old if file not in new]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        progress.say(f"version {name}: {missing[0]}{more} of {last} is no longer in the source")
        return
    changed = named_differences(found, wanted) or ["something"]
    own = {"teacher": "the teacher's weights", "student": "the weights that the student starts from"}
    for role, weights in own.items():
        if weights in changed and any(part == "run.seed" or part.startswith(f"{role}.") for part in changed):
            changed.remove(weights)  # another setting has made others
    listed = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    progress.say(f"version {name}: {listed} {'is' if len(changed) == 1 else 'are'} not as in {last}")
