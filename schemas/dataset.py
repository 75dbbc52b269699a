"""What the manifest of a data set says beyond that of other artifacts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.strict import FewKeys, Strict

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(max_length=250)]


class RowsSpec(Strict):
    """The format of the rows.

    `kind` and `codec` are names in the registries KINDS and CODECS; `width` is K, the number of logits; `shape` that
    of one stored sample; `targets` the numbers in one label of a regression.
    """

    kind: Name
    codec: Name
    width: Size
    shape: list[Size] = Field(min_length=1, max_length=4)
    task: Literal["classification", "regression"]
    targets: Size = 1
    class_names: list[str] | None = Field(None, fail_fast=True)


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


class DatasetDetails(Strict):
    """`details` in the manifest of a data set.

    `format` is a name in the registry FORMATS. `provenance` tells what made the samples; nobody reads it but people.
    """

    rows: RowsSpec
    format: Name
    split: Name
    counts: Counts
    provenance: dict[str, Any]
