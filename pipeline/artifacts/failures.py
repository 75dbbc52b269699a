"""Samples that were given up: how a finished artifact lists them, and what to make again to try once more."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from pipeline.artifacts.promised import read_checked
from pipeline.storage import Folder
from schemas.manifest import FailedSample, Manifest, ShardReport

FAILURES = "failures.jsonl"
UNITS = "units.jsonl"
"""What each unit made; kept only where samples failed, as it is needed only to make some units again."""

Fingerprint = dict[str, Any]


class Retry(Protocol):
    """Says which units to make again, given the names of the `failed` ones, those with failed samples.

    Besides the fingerprint `found` it knows the one `wanted`. Where these may differ, as files with failed samples in
    them may have been mended since, it makes them equal in the copy of `found` that it returns.
    """

    def __call__(
        self, found: Fingerprint, wanted: Fingerprint, failed: Collection[str]
    ) -> tuple[Fingerprint, set[str]]: ...


def retry_failed_units(
    found: Fingerprint, wanted: Fingerprint, failed: Collection[str]
) -> tuple[Fingerprint, set[str]]:
    """The failed units, from the same inputs."""
    return found, set(failed)


def failure_files(reports: Mapping[str, ShardReport]) -> dict[str, bytes]:
    """The files that a finished artifact has besides, name -> content; none where no sample failed."""
    failures = [failure for report in reports.values() for failure in report.failures]
    if not failures:
        return {}
    units = ({"unit": unit, **report.model_dump(exclude={"failures"})} for unit, report in reports.items())
    return {FAILURES: _lines(failure.model_dump() for failure in failures), UNITS: _lines(units)}


def read_reports(folder: Folder, manifest: Manifest) -> dict[str, ShardReport]:
    """What `failure_files` was made from; empty where no sample failed.

    Raises:
        BpkdError: a file is damaged.
    """
    entries = {entry.path: entry for entry in manifest.files}
    if FAILURES not in entries or UNITS not in entries:
        return {}
    failures: dict[str, list[FailedSample]] = {}
    for line in read_checked(folder, entries[FAILURES]).splitlines():
        failure = FailedSample.model_validate_json(line)
        failures.setdefault(failure.unit, []).append(failure)
    reports = {}
    for line in read_checked(folder, entries[UNITS]).splitlines():
        values = json.loads(line)
        unit = values.pop("unit")
        reports[unit] = ShardReport(**values, failures=failures.get(unit, []))
    return reports


def _lines(values: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()
