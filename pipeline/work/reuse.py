"""Taking over from a finished run what this one would make from the same: the source has grown, or one model is new.

Cached logits depend on the rows and the teacher alone, so every shard of them is taken over that both runs have. What
was mined also depends on the opponents, and these on all that they were trained on. They are taken over where the
source has only grown: the new samples then climb against the same opponents as the old ones did.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline import layout
from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.failures import read_reports
from pipeline.artifacts.identity import identity, without
from pipeline.shards.parts import shard_name
from pipeline.sources.chunks import count_chunks, shared_chunks
from pipeline.storage import Folder, sha256
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import MANIFEST, FailedSample, FileEntry, Manifest

_AT_ONCE = 16

Details = Callable[[int, FileEntry, int], dict[str, Any]]
"""(own number of a shard, its file, how many of its samples failed) -> details of its report."""


@dataclass(frozen=True)
class Donor:
    """One artifact of a finished run.

    Attributes:
        url: of the artifact.
        manifest: of the artifact.
        shards: own number of a shard -> its number there, of all that are the same.
    """

    url: str
    manifest: Manifest
    shards: Mapping[int, int]

    def copy_into(self, artifact: Artifact, details: Details) -> int:
        """Commit every shard that is neither committed yet nor to be tried again; how many these were."""
        folder = Folder(self.url)
        entries = {file.path: file for file in self.manifest.files}
        failures = {unit: report.failures for unit, report in read_reports(folder, self.manifest).items()}
        done = {name for name in map(shard_name, self.shards) if artifact.done(name)} | artifact.again
        wanted = [(own, there) for own, there in self.shards.items() if shard_name(own) not in done]

        def take(pair: tuple[int, int]) -> None:
            own, there = pair
            failed: list[FailedSample] = failures.get(shard_name(there), [])
            entry = entries[shard_name(there)]
            files = [artifact.take(folder, entry, shard_name(own))]
            artifact.commit(shard_name(own), files, failed, details(own, entry, len(failed)))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(take, wanted):
                pass
        return len(wanted)


@dataclass(frozen=True)
class Rounds:
    """All rounds of a finished run over a part of this run's source.

    Attributes:
        identity: SHA-256 over the files of all of them.
        opponents: one for each round.
        auxiliary: likewise.
    """

    identity: str
    opponents: list[Donor]
    auxiliary: list[Donor]


def cached_by_base(config: Config, fingerprint: Mapping[str, Any]) -> Donor | None:
    """The teacher's logits of `run.base`, where they were made by the same teacher in the same way.

    Args:
        config: of this run.
        fingerprint: of this run's logits.

    Raises:
        UserError: there is no finished run.
    """
    if config.run.base is None:
        return None
    url = layout.teacher_logits(config.locate(config.run.base))
    manifest = _finished(url, config)
    if without(manifest.fingerprint, "source") != without(fingerprint, "source"):
        return None
    source = manifest.fingerprint["source"]
    shards = shared_chunks(fingerprint["source"], source)
    # What is known of the range of arrays is that of all shards together.
    if not shards or ("low" in manifest.details and len(shards) < count_chunks(source)):
        return None
    return Donor(url, manifest, shards)


def mined_by_base(config: Config, fingerprint: Mapping[str, Any]) -> Rounds | None:
    """The rounds of `run.base`, where they were mined in the same way from a source that has only grown since.

    Args:
        config: of this run.
        fingerprint: of this run's first opponent.

    Raises:
        UserError: there is no run, or none with finished logits.
    """
    if config.run.base is None or not config.run.rounds:
        return None
    run, rounds = config.locate(config.run.base), range(1, config.run.rounds + 1)
    _finished(layout.teacher_logits(run), config)
    urls = [[make(run, number) for number in rounds] for make in (layout.opponent, layout.auxiliary)]
    if not all(Folder(url).exists(MANIFEST) for url in (*urls[0], *urls[1])):
        return None
    found = _finished(urls[0][0], config)
    if _mining(found.fingerprint) != _mining(fingerprint):
        return None
    own, other = fingerprint["cache"]["source"], found.fingerprint["cache"]["source"]
    shards = shared_chunks(own, other)
    if len(shards) < count_chunks(other):
        return None
    opponents = [Donor(url, _finished(url, config), {}) for url in urls[0]]
    auxiliary = [Donor(url, _finished(url, config), shards) for url in urls[1]]
    files = [identity(donor.manifest)["files"] for donor in (*opponents, *auxiliary)]
    return Rounds(sha256(json.dumps(files).encode()), opponents, auxiliary)


def _finished(url: str, config: Config) -> Manifest:
    try:
        return read_manifest(url, None)
    except UserError as error:
        raise UserError(f"run.base = {config.run.base}: {error}") from None


def _mining(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """What an opponent was made from, but for the source and what came of it in earlier runs."""
    cache = without(fingerprint["cache"], "source", "files")
    return {**without(fingerprint, "earlier", "base"), "cache": cache}
