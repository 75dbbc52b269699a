"""Train a student from an exported data set of images without bpkd: torch, pyarrow and Pillow are enough.

python examples/plain_torch.py runs/own-model/dataset runs/own-model-data/test    # export.format = "parquet"
"""

import io
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

TEMPERATURE, STEPS, BATCH = 4.0, 2000, 128


def pixels(file) -> torch.Tensor:
    """float32 (C, H, W) in [0, 1], as the teacher saw it."""
    image = Image.open(file)
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8) / 255
    return values.view(image.height, image.width, -1).permute(2, 0, 1)


def main(dataset: str, test: str) -> None:
    """`test` has a folder of images for each class, in the order of the classes."""
    shards = sorted(map(str, Path(dataset).glob("*.parquet")))
    if not shards:
        sys.exit(f'{dataset} has no *.parquet: export with export.format = "parquet"')
    table = pq.read_table(shards, columns=["image", "teacher_logits"])
    images = torch.stack([pixels(io.BytesIO(image["bytes"])) for image in table["image"].to_pylist()])
    teacher = torch.tensor(table["teacher_logits"].to_pylist(), dtype=torch.float32)

    torch.manual_seed(0)
    student = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 16), nn.ReLU(), nn.Linear(16, teacher.shape[1]))
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    for _ in range(STEPS):
        batch = torch.randint(len(images), (BATCH,))
        ours, theirs = student(images[batch]) / TEMPERATURE, teacher[batch] / TEMPERATURE
        loss = F.kl_div(ours.log_softmax(1), theirs.softmax(1), reduction="batchmean") * TEMPERATURE**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    folders = sorted(folder for folder in Path(test).iterdir() if folder.is_dir())
    files = [(file, label) for label, folder in enumerate(folders) for file in sorted(folder.iterdir())]
    found = student(torch.stack([pixels(file) for file, _ in files])).argmax(1)
    print(f"test accuracy {(found == torch.tensor([label for _, label in files])).float().mean():.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: plain_torch.py DATASET TEST_FOLDER")
    main(*sys.argv[1:])
