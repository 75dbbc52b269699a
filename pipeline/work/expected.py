"""Whether a worker sees what its run was started with: on another machine other files may lie in the same places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts.identity import without
from pipeline.models import AnyModel
from pipeline.sources import Samples
from pipeline.storage import sha256
from pipeline.work.setup import Role, identify_model
from schemas.errors import UserError

_SAME = "must lead to the same for all workers"


@dataclass(frozen=True)
class ExpectedModel:
    """A model, without its numbers.

    Attributes:
        role: what the run has it for.
        weights: SHA-256 of them.
        settings: SHA-256 over how it is built: factory, kwargs, the user's own code, tokenizer.
    """

    role: Role
    weights: str
    settings: str

    def require(self, found: ExpectedModel) -> None:
        """Compare with what is here."""
        if found.settings != self.settings:
            raise UserError(
                f"a worker builds another {self.role} than the run, from other code or with other settings; "
                f"{self.role}.factory (for text also its tokenizer) {_SAME}"
            )
        if found.weights != self.weights:
            raise UserError(
                f"a worker's {self.role} has other weights than the run's; {self.role}.weights and "
                f"{self.role}.factory {_SAME}"
            )


@dataclass(frozen=True)
class Expected:
    """Enough of the inputs to tell them from others, without reading the source.

    Attributes:
        chunks: of the source.
        samples: in all of them.
        files: SHA-256 over names and sizes, see `Samples.listing_sha256`.
        models: that the work needs.
    """

    chunks: int
    samples: int
    files: str
    models: tuple[ExpectedModel, ...]

    def require(self, samples: Samples, *, teacher: AnyModel | None = None, student: AnyModel | None = None) -> None:
        """Compare with what is here.

        Raises:
            UserError: it is something else.
        """
        config = samples.config
        found = expect(
            samples,
            teacher=identify_model(config, "teacher", teacher) if teacher is not None else None,
            student=identify_model(config, "student", student) if student is not None else None,
        )
        if (found.samples, found.chunks) != (self.samples, self.chunks):
            raise UserError(
                f"a worker finds {found.samples:,} samples in {found.chunks:,} shards where the run has "
                f"{self.samples:,} in {self.chunks:,}; data.train {_SAME}"
            )
        if found.files != self.files:
            raise UserError(
                f"a worker finds as many samples as the run, but in files with other names or sizes; data.train {_SAME}"
            )
        for wanted, here in zip(self.models, found.models, strict=True):
            wanted.require(here)


def expect(
    samples: Samples, *, teacher: Mapping[str, Any] | None = None, student: Mapping[str, Any] | None = None
) -> Expected:
    """What a worker is to find; models as `identify_model` tells them."""
    given: tuple[tuple[Role, Mapping[str, Any] | None], ...] = (("student", student), ("teacher", teacher))
    models = tuple(_expect_model(role, model) for role, model in given if model is not None)
    return Expected(len(samples.chunks), samples.size, samples.listing_sha256(), models)


def _expect_model(role: Role, model: Mapping[str, Any]) -> ExpectedModel:
    settings = json.dumps(without(model, "sha256"), sort_keys=True)
    return ExpectedModel(role, model["sha256"], sha256(settings.encode()))
