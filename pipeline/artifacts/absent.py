"""What to say where a finished artifact is looked for and none is: what lies there, and what would be right."""

from __future__ import annotations

from pipeline import layout
from pipeline.artifacts.ledger import PROGRESS, TRANSFER
from pipeline.latest import advised
from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.manifest import MANIFEST

COPY = "is a copy that is not complete; run the same `bpkd pull` or `bpkd push` again"
_UNFINISHED = "is a run that is not finished; `bpkd run CONFIG` makes its data set"


def require_finished(folder: Folder, made_by: str | None) -> None:
    """Make sure that there is a manifest, and that what it lists is there.

    Args:
        folder: of the artifact.
        made_by: command that makes it, for the message; None where it may come from elsewhere.

    Raises:
        UserError: there is none, or its copy is not complete.
    """
    if folder.exists(TRANSFER):
        raise UserError(f"{folder.url} {COPY}")
    if not folder.exists(MANIFEST):
        made = f"that `bpkd {made_by}` makes" if made_by else f"that holds {MANIFEST}, as dataset/ in that of a run"
        refuse_file(folder, f"the directory {made}")
        raise UserError(f"{folder.url} {advised(folder, '/dataset') or _state(folder, made_by)}")


def refuse_file(folder: Folder, meant: str) -> None:
    """Refuse a file where a directory is meant.

    Args:
        folder: what was named.
        meant: what should have been; where the file lies beside a manifest, the message names that directory instead.

    Raises:
        UserError: it is a file.
    """
    if folder.is_file():
        parent = _parent(folder)
        meant = f"its directory, {parent.url}" if parent.exists(MANIFEST) else meant
        raise UserError(f"{folder.url} is a file; name {meant}")


def _state(folder: Folder, made_by: str | None) -> str:
    """What is wrong with a directory without a manifest, and the remedy."""
    remedy = f"make it with `bpkd {made_by}`" if made_by else f"name the directory with its {MANIFEST}"
    if folder.exists(f"dataset/{MANIFEST}"):
        return f"is a run, whose data set is in dataset/; {remedy}"
    if made_by is None and _is_run(folder):
        return _UNFINISHED
    if folder.exists(PROGRESS):
        again = remedy if made_by else "the command that makes it, such as `bpkd run CONFIG`, goes on from there"
        return f"is not finished; {again}"
    if folder.names() or folder.folders():
        return f"has no {MANIFEST}; {remedy}"
    parent = _parent(folder)
    if made_by is None and folder.url.rpartition("/")[2] in layout.MADE_BY and _is_run(parent):
        return f"does not exist yet: {parent.url} {_UNFINISHED}"
    return f"{'is empty' if folder.is_directory() else 'does not exist'}; {remedy}"


def _is_run(folder: Folder) -> bool:
    """Whether there are artifacts in their places, finished or not."""
    paths = layout.artifacts(layout.rounds_in(folder.folders()), text=True, evaluated=True)
    return any(folder.exists(f"{path}/{name}") for path, _ in paths for name in (MANIFEST, PROGRESS))


def _parent(folder: Folder) -> Folder:
    return Folder(folder.url.rpartition("/")[0] or ("/" if folder.url.startswith("/") else "."))
