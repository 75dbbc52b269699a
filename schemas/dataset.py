"""What the manifest of a data set says beyond that of other artifacts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowsSpec(_Strict):
    """The format of the rows.

    `kind` and `codec` are names in the registries KINDS and CODECS; `width` is K, the number of logits; `shape` that
    of one stored sample; `targets` the numbers in one label of a regression.
    """

    kind: str
    codec: str
    width: Size
    shape: list[Size] = Field(min_length=1, max_length=4)
    task: Literal["classification", "regression"]
    targets: Size = 1
    class_names: list[str] | None = None


class Gaps(_Strict):
    """Of the gaps of one round: mean and quartiles."""

    mean: float
    q25: float
    q50: float
    q75: float


class RoundCounts(_Strict):
    """The auxiliary samples of one round; `gap` is empty where there are none."""

    round: Size
    samples: Count
    gap: dict[Literal["gap_before", "gap_after"], Gaps]


class Counts(_Strict):
    """How many samples are the user's own, how many were mined, and the latter by round."""

    source: Count
    auxiliary: Count
    rounds: list[RoundCounts]


class DatasetDetails(_Strict):
    """`details` in the manifest of a data set.

    `format` is a name in the registry FORMATS. `provenance` tells what made the samples; nobody reads it but people.
    """

    rows: RowsSpec
    format: str
    split: str
    counts: Counts
    provenance: dict[str, Any]
