"""Climbs in embedding space: the map that carries a shift from one model's embeddings to another's, and the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class EmbeddingMap:
    """Q of arXiv 2301.12006: from the student's embedding space to the teacher's.

    Attributes:
        matrix: Q, float32 (D_T, D_S); None for the identity.
        residual: ||E_T - E_S Q^T|| / ||E_T||, Frobenius norms; 0 where Q says all of the teacher's embeddings.
    """

    matrix: torch.Tensor | None
    residual: float


def fit_map(teacher: torch.Tensor, student: torch.Tensor) -> EmbeddingMap:
    """Q = argmin ||E_T - E_S Q^T|| by least squares over the shared vocabulary, in float64.

    Args:
        teacher: E_T, (V, D_T), one row per token.
        student: E_S, (V, D_S), the same tokens.
    """
    if teacher.shape == student.shape and torch.equal(teacher, student):
        return EmbeddingMap(None, 0.0)
    own, other = student.detach().cpu().double(), teacher.detach().cpu().double()
    # Normal equations: V rows would make a QR of the embeddings themselves slow. The pseudo-inverse takes tokens that
    # were never trained, and so may make the student's embeddings rank-deficient.
    transposed = torch.linalg.pinv(own.T @ own, hermitian=True) @ (own.T @ other)
    residual = (other - own @ transposed).norm() / other.norm()
    return EmbeddingMap(transposed.T.float().contiguous(), float(residual))


def mean_norm(embeddings: torch.Tensor) -> float:
    """Mean L2 norm of (V, D) token embeddings: the unit of step sizes, so that they carry over between models."""
    return float(embeddings.detach().cpu().double().norm(dim=1).mean())


@dataclass(frozen=True)
class TokenBounds:
    """Shifts of real tokens only, each within a ball round its parent's.

    Attributes:
        real: bool (N, L), tokens that may move.
        ball: norm of the ball, None for no limit.
        radius: of the ball, in the same unit as the shifts.
    """

    real: torch.Tensor
    ball: Literal["l2", "linf"] | None = None
    radius: float = 1.0

    def project(self, inputs: torch.Tensor, parents: torch.Tensor) -> torch.Tensor:
        """The point of the region near `inputs`, (N, L, D) -> (N, L, D)."""
        offset = inputs - parents
        if self.ball == "linf":
            offset = offset.clamp(-self.radius, self.radius)
        elif self.ball == "l2":
            offset = offset * (self.radius / offset.norm(dim=-1, keepdim=True).clamp_min(self.radius))
        return parents + offset * self.real[..., None]
