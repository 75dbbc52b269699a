"""Where a run keeps its artifacts, and which command makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MADE_BY = {
    "teacher-logits": "cache",
    "embeddings": "mine",
    "opponent": "mine",
    "auxiliary": "mine",
    "dataset": "export",
    "student": "train",
    "evaluation": "evaluate",
}
"""Kind of artifact -> command."""

IN_ROUNDS = ("opponent", "auxiliary")
"""Kinds that there are one of in every round."""

ARTIFACT = re.compile(
    rf"(?:{'|'.join(kind for kind in MADE_BY if kind not in IN_ROUNDS)}"
    rf"|round-(?P<round>\d+)/(?P<kind>{'|'.join(IN_ROUNDS)}))/"
)
"""The place of an artifact in a run, with a slash at the end."""

MAP = "embedding-map.safetensors"
"""Beside the manifest of the embeddings, and of a data set of perturbed text; absent where the map is the identity."""

FIGURES = "metrics.json"
"""The figures of an evaluation; its shards hold the answers that they were computed from."""

GALLERY = "gallery.parquet"
"""In an evaluation: a few auxiliary samples and their parents with what the student says of each."""

TIMES = "times"
"""In a run: how long each of its artifacts took to make. No artifact, and nothing that one depends on."""

TOKENIZER = "tokenizer.json"
"""The vocabulary that perturbed text is written in, in the same places."""


def teacher_logits(run: str) -> str:
    return f"{run}/teacher-logits"


def embeddings(run: str) -> str:
    return f"{run}/embeddings"


def place_in(round_: int, kind: str) -> str:
    """The place in a run of what a round has of a kind."""
    return f"{round_name(round_)}/{kind}"


def round_name(round_: int) -> str:
    """The directory of a round."""
    return f"round-{round_:02d}"


def opponent(run: str, round_: int) -> str:
    return f"{run}/{place_in(round_, 'opponent')}"


def auxiliary(run: str, round_: int) -> str:
    return f"{run}/{place_in(round_, 'auxiliary')}"


def dataset(run: str) -> str:
    return f"{run}/dataset"


def student(run: str) -> str:
    return f"{run}/student"


def evaluation(run: str) -> str:
    return f"{run}/evaluation"


def artifacts(rounds: Iterable[int], *, text: bool, evaluated: bool) -> list[tuple[str, str]]:
    """(path in the run, kind) of every artifact that a run has in the end, in the order in which they are made.

    Args:
        rounds: their numbers.
        text: whether its samples are text.
        evaluated: whether the student is measured.
    """
    mined = [(place_in(number, kind), kind) for number in rounds for kind in IN_ROUNDS]
    alone = ["teacher-logits", *(["embeddings"] if text and mined else [])]
    last = ["dataset", "student", *(["evaluation"] if evaluated else [])]
    return [*((kind, kind) for kind in alone), *mined, *((kind, kind) for kind in last)]


def rounds_in(names: Iterable[str]) -> list[int]:
    """The numbers of the rounds whose directories are among `names`, in order."""
    return sorted({int(match[1]) for name in names if (match := re.fullmatch(r"round-(\d+)", name))})


def tensorboard(run: str) -> str:
    return f"{run}/tensorboard"


def time_of(artifact: str) -> str:
    """The file in `TIMES` of an artifact, given its path in the run."""
    return f"{artifact.replace('/', '-')}.seconds"
