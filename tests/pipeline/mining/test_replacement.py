from __future__ import annotations

import pytest
import torch

from pipeline.mining import replacement
from pipeline.mining.replacement import nearest_words, promised_gains


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [2, 512])
def test_the_nearest_words_come_first(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacement, "_ROWS", rows)
    points, words = draw(7, 5), draw(30, 5, seed=1)
    cosines = torch.nn.functional.cosine_similarity(points[:, None], words[None], dim=-1)
    assert torch.equal(nearest_words(points, words, 4), cosines.argsort(dim=1, descending=True)[:, :4])


def test_no_more_words_than_there_are_and_no_points_are_fine() -> None:
    assert nearest_words(draw(3, 5), draw(2, 5), 9).shape == (3, 2)
    assert nearest_words(draw(0, 5), draw(2, 5), 9).shape == (0, 2)


def test_gains_are_exact_for_a_linear_gap() -> None:
    slope, here, there = draw(4, 6), draw(4, 6, seed=1), draw(4, 3, 6, seed=2)
    gains = promised_gains(slope, here, there)
    for row in range(4):
        for column in range(3):
            expected = (slope[row] * there[row, column]).sum() - (slope[row] * here[row]).sum()
            assert gains[row, column] == pytest.approx(float(expected), abs=1e-5)
