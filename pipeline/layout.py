"""Where a run keeps its artifacts, and which command makes them."""

MADE_BY = {
    "teacher-logits": "cache",
    "embeddings": "mine",
    "opponent": "mine",
    "auxiliary": "mine",
    "dataset": "export",
    "student": "train",
    "evaluation": "evaluate",
}


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


def opponent(run: str, round_: int) -> str:
    return f"{run}/round-{round_:02d}/opponent"


def auxiliary(run: str, round_: int) -> str:
    return f"{run}/round-{round_:02d}/auxiliary"


def dataset(run: str) -> str:
    return f"{run}/dataset"


def student(run: str) -> str:
    return f"{run}/student"


def evaluation(run: str) -> str:
    return f"{run}/evaluation"


def tensorboard(run: str) -> str:
    return f"{run}/tensorboard"


def time_of(artifact: str) -> str:
    """The file in `TIMES` of an artifact, given its path in the run."""
    return f"{artifact.replace('/', '-')}.seconds"
