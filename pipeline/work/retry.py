"""Trying failed samples of the source once more, perhaps after their files have been mended."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.artifacts.failures import Fingerprint, Retry
from pipeline.shards.parts import shard_name
from pipeline.sources import Samples


def retry_source(samples: Samples) -> Retry:
    """Makes the failed units again, and all units of a file that had failed samples and has changed since.

    Other files have to be what they were, and a changed one has to have as many rows as before, so that all other
    units are still what they would be.
    """

    def retry(found: Fingerprint, wanted: Fingerprint, failed: Collection[str]) -> tuple[Fingerprint, set[str]]:
        again, files = set(failed), dict(found["source"]["files"])
        for name, chunks in samples.by_file().items():
            units = {shard_name(chunk.index) for chunk in chunks}
            old, new = files.get(name), wanted["source"]["files"][name]
            if units & again and old and old != new and old["rows"] == new["rows"]:
                files[name] = new
                again |= units
        return {**found, "source": {**found["source"], "files": files}}, again

    return retry
