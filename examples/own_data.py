"""Bring your own data: a CSV of real measurements, a number to predict.

    python examples/own_data.py               # writes the CSV files and trains the teacher, some seconds
    bpkd run examples/own_data.toml

442 diabetes patients (scikit-learn, Efron et al. 2004): ten measurements each, and how far the disease has got.
"""

from pathlib import Path

import polars as pl
import torch
from safetensors.torch import save_file
from torch import nn

OUTPUT = Path(__file__).parent.parent / "runs" / "own-data"


def main() -> None:
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=True)
    frame = pl.DataFrame(data.data * 20, schema=data.feature_names)
    frame = frame.with_columns(pl.Series("progression", (data.target - 152) / 77))
    frame = frame.sample(fraction=1, shuffle=True, seed=0)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    frame.head(60).write_csv(OUTPUT / "train.csv")
    frame.tail(100).write_csv(OUTPUT / "test.csv")

    known = torch.tensor(frame.head(342).to_numpy(), dtype=torch.float32)
    inputs, targets = known[:, :-1], known[:, -1:]
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(200):
        loss = nn.functional.mse_loss(teacher(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(teacher.state_dict(), OUTPUT / "teacher.safetensors")


if __name__ == "__main__":
    main()
