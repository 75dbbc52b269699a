"""Verification of one artifact, or of all in a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable

from pipeline import layout
from pipeline.artifacts.absent import refuse_file
from pipeline.directory import open_run
from pipeline.latest import advised
from pipeline.progress import Progress, Silent
from pipeline.storage import Folder
from pipeline.verify.artifact import ArtifactCheck, Teaching
from pipeline.verify.chain import check_chain
from pipeline.verify.files import Sizes, begun
from pipeline.verify.verdict import Findings, Relabelled, Verdict
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import MANIFEST


def verify(
    url: str,
    *,
    teacher: Config | None = None,
    samples: int = 256,
    decode: bool = False,
    progress: Progress | None = None,
) -> Verdict:
    """Check every file, and every row of a data set, of auxiliary samples and of cached logits.

    Of a whole run also that each artifact was made from the others that are there.

    Args:
        url: directory of an artifact, or of a whole run.
        teacher: config whose `[teacher]` labels some stored inputs again; its data are not opened. A difference from
            the stored logits is allowed up to what the codec rounds off plus twice the noise of another batch size,
            2^-13 (with run.precision = "bf16" 2^-5) of the largest logit.
        samples: how many inputs of each artifact the teacher labels.
        decode: decode every image, rather than look at its header, size and checksums only.
        progress: where to report; counts bytes.

    Returns:
        What is wrong. A damaged manifest is a problem, not an error.

    Raises:
        UserError: `url` is no artifact and no run, or the teacher cannot be built or has nothing to label.
        BpkdError: the store cannot be reached.
    """
    progress = progress or Silent()
    teaching = None if teacher is None else Teaching(teacher, samples)
    there = _artifacts(url, Folder(url).find())
    checks = [
        ArtifactCheck(f"{url.rstrip('/')}/{prefix}".rstrip("/"), prefix, sizes, decode=decode, teaching=teaching)
        for prefix, sizes in there.items()
    ]
    if teaching and not any(check.comparable for check in checks):
        raise UserError(f"{url}: no stored inputs that a teacher could label; --teacher takes a data set or a run")
    entries = [entry for check in checks for entry in check.files]
    promised = sum(entry.bytes for entry in entries)
    found = Findings()
    with progress.task("verify", promised, unit="bytes") as task:
        for check in checks:
            check.run(task)
            found.take(check.found)
    missing, not_begun = ([], 0) if "" in there else _missing(url, there)
    check_chain({check.found.prefix: check.manifest for check in checks if check.manifest}, found)
    return Verdict(
        url=url,
        artifacts=[check.manifest.artifact for check in checks if check.manifest],
        files=len(entries),
        bytes=promised,
        samples=sum(entry.samples for entry in entries),
        problems=found.problems,
        more=found.count - len(found.problems),
        relabelled=_together(check.relabelled for check in checks),
        missing=missing,
        not_begun=not_begun,
    )


def _artifacts(url: str, sizes: Sizes) -> dict[str, dict[str, int]]:
    """The files of every artifact, by its place below `url` with a slash at the end ("" for `url` itself)."""
    if _artifact(sizes):
        return {"": dict(sizes)}
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for name, size in sizes.items():
        if match := layout.ARTIFACT.match(name):
            found[match[0]][name[match.end() :]] = size
    if not any(_artifact(files) for files in found.values()):
        if versions := advised(Folder(url)):
            raise UserError(f"{url} {versions}")
        refuse_file(Folder(url), "the directory of a data set, of another artifact or of a run")
        what = f"there is no {MANIFEST}" if sizes else "no directory with files"
        raise UserError(f"{url}: {what}; verify takes a data set, another artifact, or the directory of a run")
    return found


def _missing(url: str, there: Container[str]) -> tuple[list[str], int]:
    """Artifacts that the config of a run asks for and that are not there, and how many of later rounds besides."""
    if "teacher-logits/" not in there:  # nothing to go by, or the training of a data set from elsewhere
        return [], 0
    try:
        run = open_run(url)
    except UserError:  # no config that can be read: nobody says what there should be
        return [], 0
    return [path for path, _ in run.artifacts if f"{path}/" not in there], len(layout.IN_ROUNDS) * run.more_rounds


def _artifact(sizes: Sizes) -> bool:
    return MANIFEST in sizes or begun(sizes)


def _together(results: Iterable[Relabelled | None]) -> Relabelled | None:
    """All samples, with the difference that is nearest to what is allowed."""
    some = [result for result in results if result is not None]
    if not some:
        return None
    worst = max(some, key=lambda result: result.difference / (result.allowed or 1.0))
    return Relabelled(sum(result.samples for result in some), worst.difference, worst.allowed)
