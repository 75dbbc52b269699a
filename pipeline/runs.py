"""A run's directory as a whole: its config.toml, whether it is complete, the versions in it, and throwing it away."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import layout
from pipeline.artifacts.artifact import discard, held
from pipeline.latest import versions
from pipeline.storage import Folder
from schemas.config import Config, dump_config
from schemas.errors import UserError
from schemas.manifest import MANIFEST

CONFIG = "config.toml"
RECORD = "version.json"
"""In a run's directory that is one of several versions: what it is made from, see `pipeline.versions`."""


def record_config(config: Config) -> None:
    """Write the config, with every default filled in, into the run's directory.

    For the stages, once they have made something in it: a config that they refuse does not take its place.
    """
    Folder(config.output).write(CONFIG, dump_config(config).encode())


def recorded_config(run: str) -> bool:
    """Whether a run's directory has its config."""
    return Folder(run).exists(CONFIG)


def refuse_mixing(config: Config) -> None:
    """Refuse a run where versions of runs are, versions where a run is, and either within an artifact or the source.

    Raises:
        UserError: `run.output` holds something else.
    """
    root = Folder(config.output)
    if root.exists(MANIFEST):
        raise UserError(f"{root.url} is a finished artifact, such as a data set; name another run.output")
    for key, folder in _given(config):
        if f"{config.output}/".startswith(f"{folder}/"):
            raise UserError(f"run.output = {root.url} lies in data.{key}, where it would be read as data; name another")
    if config.run.versions and root.exists(CONFIG):
        raise UserError(
            f"{root.url} is a run without versions; name another run.output for versions, or set run.versions = false"
        )
    if not config.run.versions and any(root.exists(f"{name}/{RECORD}") for name in versions(root)):
        raise UserError(f"{root.url} holds versions; set run.versions = true, or name another run.output")


def _given(config: Config) -> Iterator[tuple[str, str]]:
    """Key and URL of the directories that a config takes samples from."""
    for key, given in (("train", config.data.train), ("eval", config.data.eval)):
        for url in [given] if isinstance(given, str) else given or []:
            yield key, config.locate(url).rstrip("/")


def is_complete(config: Config) -> bool:
    """Whether every artifact of a run is there, so that its stages find all done, or refuse it.

    Raises:
        BpkdError: the store does not answer.
    """
    paths = layout.artifacts(
        range(1, config.run.rounds + 1), text=config.data.kind == "text", evaluated=config.data.eval is not None
    )
    # The last one first, as it is missing most often.
    return all(Folder(f"{config.output}/{path}").exists(MANIFEST) for path, _ in reversed(paths))


def discard_run(run: str) -> None:
    """Remove every artifact of a run, the last first, so that what is left can be taken up.

    Raises:
        UserError: something else lies where an artifact belongs; it is left as it is.
        BpkdError: another process is at work on one.
    """
    with held(Folder(run)):
        discard(layout.evaluation(run), "evaluation")
        discard(layout.student(run), "student")
        discard(layout.dataset(run), "dataset")
        discard_rounds(run)
        discard(layout.embeddings(run), "embeddings")
        discard(layout.teacher_logits(run), "teacher-logits")
        Folder(run).remove(layout.TIMES)


def discard_rounds(run: str, after: int = 0) -> None:
    """Remove the opponents and auxiliary samples of all rounds `after` one, also of more rounds than there are now.

    To be called with the run's directory `held`, as each round depends on those before it.
    """
    for number in [number for number in reversed(layout.rounds_in(Folder(run).folders())) if number > after]:
        discard(layout.auxiliary(run, number), "auxiliary")
        discard(layout.opponent(run, number), "opponent")
        Folder(f"{run}/{layout.round_name(number)}").remove_if_empty()
