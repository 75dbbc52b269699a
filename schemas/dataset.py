"""What the manifest of a data set says beyond that of other artifacts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.strict import FewKeys, Strict

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(max_length=250)]


class RowsSpec(Strict):
    """The format of the rows.

    `kind` and `codec` are names in the registries KINDS and CODECS, `codec_options` what the codec is built with;
    `width` is K, the number of logits; `shape` that of one stored sample; `targets` the numbers in one label of a
    regression; `delta` a name in the registry DELTAS, for text with perturbed embeddings.
    """

    kind: Name
    codec: Name
    codec_options: Annotated[dict[Name, int | float | str], FewKeys] | None = None
    width: Size
    shape: list[Size] = Field(min_length=1, max_length=4)
    task: Literal["classification", "regression"]
    targets: Size = 1
    class_names: list[str] | None = Field(None, fail_fast=True)
    delta: Name | None = None


class Gaps(Strict):
    """Of the gaps of one round: mean and quartiles."""

    mean: float
    q25: float
    q50: float
    q75: float


class RoundCounts(Strict):
    """The auxiliary samples of one round; `gap` is empty where there are none."""

    round: Size
    samples: Count
    gap: Annotated[dict[Literal["gap_before", "gap_after"], Gaps], FewKeys]


class Counts(Strict):
    """How many samples are the user's own, how many were mined, and the latter by round."""

    source: Count
    auxiliary: Count
    rounds: list[RoundCounts] = Field(fail_fast=True)


class EmbeddingsSpec(Strict):
    """What perturbations are added to: the token embeddings of a student.

    `student` and `teacher` are the SHA-256 of each model's embeddings (shape and float32 bytes); `residual` is that of
    the map Q between them, which lies beside the manifest unless it is the identity; `carry` is `mine.carry`; `unit`
    the mean norm of the student's embeddings, in which steps of a climb are counted.
    """

    student: Name
    teacher: Name
    residual: float
    carry: Literal["offset", "embedding"]
    unit: float | None = Field(None, ge=0, allow_inf_nan=False)


class DatasetDetails(Strict):
    """`details` in the manifest of a data set.

    `format` is a name in the registry FORMATS; `embeddings` is there for perturbed text. `provenance` tells what made
    the samples; nobody reads it but people.
    """

    rows: RowsSpec
    format: Name
    split: Name
    counts: Counts
    embeddings: EmbeddingsSpec | None = None
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _shifts_of_something(self) -> DatasetDetails:
        if (self.rows.delta is None) != (self.embeddings is None):
            raise ValueError("rows.delta and embeddings go together: how shifts are stored, and what they are added to")
        return self
