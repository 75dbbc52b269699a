"""Whether a worker sees what its run was started with: on another machine other files may lie in the same places."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models import AnyModel, weights_sha256
from pipeline.sources import Samples
from schemas.errors import UserError


@dataclass(frozen=True)
class Expected:
    """Enough of the inputs to tell them from others, without reading the source.

    Attributes:
        chunks: of the source.
        samples: in all of them.
        models: (role, SHA-256 of the weights).
    """

    chunks: int
    samples: int
    models: tuple[tuple[str, str], ...]

    def require(self, samples: Samples, **models: AnyModel) -> None:
        """Compare with what is here.

        Raises:
            UserError: it is something else.
        """
        found = expect(samples, **models)
        if (found.samples, found.chunks) != (self.samples, self.chunks):
            raise UserError(
                f"a worker finds {found.samples:,} samples in {found.chunks:,} shards where the run has "
                f"{self.samples:,} in {self.chunks:,}; data.train must be the same for all workers"
            )
        for (role, there), (_, here) in zip(self.models, found.models, strict=True):
            if there != here:
                raise UserError(
                    f"a worker's {role} has other weights than the run's; {role}.weights and {role}.factory "
                    "must lead to the same for all workers"
                )


def expect(samples: Samples, **models: AnyModel) -> Expected:
    """What a worker is to find, by role of the models."""
    hashes = tuple((role, weights_sha256(model)) for role, model in sorted(models.items()))
    return Expected(len(samples.chunks), samples.size, hashes)
