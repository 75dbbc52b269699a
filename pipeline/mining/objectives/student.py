from __future__ import annotations

import torch
from torch.nn import functional


class StudentAlone:
    """-log softmax(S(x)) of the student's own present answer: how unsure it is, whatever the teacher says.

    For comparison: climbs then end near the student's decision boundary, as adversarial samples of the student do (kin:
    Heo et al., arXiv 1805.05532), and not where it disagrees with the teacher, which only labels them.
    """

    def __call__(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(student, student.detach().argmax(dim=-1), reduction="none")
