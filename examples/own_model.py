"""Bring your own model: plain torch modules as teacher and student, images in class folders.

python examples/own_model.py              # writes the images and trains the teacher, some seconds
bpkd run examples/own_model.toml
"""

from pathlib import Path

import torch
from torch import nn

OUTPUT = Path(__file__).parent.parent / "runs" / "own-model-data"


class Digits(nn.Module):
    """Normalised 8x8 grey images -> 10 logits."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def main() -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    for index, (image, label) in enumerate(zip(images, digits.target, strict=True)):
        # The student sees the first 200 images; the last 450 are held out.
        split = "train" if index < 200 else "test" if index >= len(images) - 450 else "rest"
        folder = OUTPUT / split / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).round().byte().numpy()).save(folder / f"{index:04d}.png")

    torch.manual_seed(0)
    teacher = Digits(hidden=256)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=2e-3)
    known = len(images) - 450
    for _ in range(40):
        for batch in torch.randperm(known).split(64):
            loss = nn.functional.cross_entropy(teacher((images[batch] - 0.3) / 0.4), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(teacher.state_dict(), OUTPUT / "teacher.pt")


if __name__ == "__main__":
    main()
