"""What codecs of logits cost and lose: bytes a sample, error of the gradient, samples encoded and decoded a second.

    python benchmarks/logit_codecs.py

Outputs are made up: Gaussian logits of standard deviation 2, and three classes that together have about 85 % of the
probability; and a student that is as far from them as such noise. The gradient is that of KL by the student's logits,
against the one from all logits in fp32, at temperature 1 and 4: of a sample that is stored once, and of the mean of one
that is stored 256 times, where only an error that is not random stays.
Writes benchmarks/results/logit_codecs.json, which `python benchmarks/performance.py` puts into docs/performance.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import torch
from timing import in_turn, machine, save, show

from pipeline.logits import Codec
from pipeline.shards.parquet import table_to_parquet
from schemas.registry import CODECS, LOSSES

RESULT = Path(__file__).parent / "results" / "logit_codecs.json"
CLASSES = (10, 1_000, 21_841)
TEMPERATURES = (1.0, 4.0)
REPEATS = 256
WAYS: dict[str, tuple[str, dict[str, int]]] = {
    "fp32": ("fp32", {}),
    "fp16": ("fp16", {}),
    "topk, k = 32": ("topk", {"k": 32}),
    "topk, k = 128": ("topk", {"k": 128}),
    "sampled, 32 draws": ("sampled", {"draws": 32}),
    "sampled, 255 draws": ("sampled", {"draws": 255}),
}


def outputs(count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, K) logits of a teacher and of a student."""
    generator = torch.Generator().manual_seed(0)
    teacher = 2 * torch.randn(count, classes, generator=generator)
    # Of the exponentials of such logits the mean is e^2.
    share = math.log(classes) + 2 + torch.tensor([1.5, 0.5, -0.5])
    likely = torch.rand(count, classes, generator=generator).topk(3)[1]
    teacher.scatter_(1, likely, share.expand(count, -1))
    return teacher, teacher + 2 * torch.randn(count, classes, generator=generator)


def gradient(codec: Codec, temperature: float, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """(N, K) gradient of each sample's loss."""
    student = student.clone().requires_grad_(True)
    given = codec.decode(codec.encode(codec.compress(teacher, torch.Generator().manual_seed(1))))
    loss = LOSSES.build("kl", {}, temperature=temperature)(student, given, torch.full((len(student),), -1))
    return torch.autograd.grad(loss.sum(), student)[0]


def measure(classes: int, values: int, rounds: int) -> dict[str, dict[str, float]]:
    """Figures of every way, at so many classes; `values` are all logits together."""
    count = max(values // classes, 16)
    teacher, student = outputs(count, classes)
    encode, decode, found = {}, {}, {}
    for way in WAYS:
        codec = build(way, classes, TEMPERATURES[0])
        column = codec.encode(codec.compress(teacher, torch.Generator().manual_seed(1)))
        found[way] = {
            "bytes": column.nbytes / count,
            "parquet_bytes": len(table_to_parquet(pa.table({"logits": column}))) / count,
        }
        for temperature in TEMPERATURES:
            found[way] |= errors(way, temperature, teacher, student)
        encode[way] = partial(_encode, codec, teacher)
        decode[way] = partial(codec.decode, column)
    for name, calls in (("encoded", encode), ("decoded", decode)):
        for way, seconds in in_turn(calls, rounds).items():
            found[way][f"{name}_per_second"] = count / statistics.median(seconds)
    return found


def errors(way: str, temperature: float, teacher: torch.Tensor, student: torch.Tensor) -> dict[str, float]:
    """Error of the gradient, relative to the one from all logits."""
    codec, exact = (build(name, teacher.shape[1], temperature) for name in (way, "fp32"))
    one, other = (gradient(made, temperature, teacher, student) for made in (codec, exact))
    teacher, student = (logits[:1].expand(REPEATS, -1) for logits in (teacher, student))
    mean = gradient(codec, temperature, teacher, student).mean(0)
    wanted = gradient(exact, temperature, teacher[:1], student[:1])[0]
    return {
        f"gradient_error_{temperature:g}": float((one - other).norm() / other.norm()),
        f"mean_error_{temperature:g}": float((mean - wanted).norm() / wanted.norm()),
    }


def build(way: str, classes: int, temperature: float) -> Codec:
    name, options = WAYS[way]
    codec: Codec = CODECS.build(name, options, width=classes, temperature=temperature)
    return codec


def _encode(codec: Codec, teacher: torch.Tensor) -> None:
    codec.encode(codec.compress(teacher, torch.Generator().manual_seed(1)))


def rows(classes: dict[str, dict[str, dict[str, float]]]) -> Iterator[list[str]]:
    """Heads, and what is shown of every codec."""
    heads = [f"{what}, T = {temperature:g}" for temperature in TEMPERATURES for what in ("error", "of the mean")]
    yield ["classes", "codec", "bytes", "in Parquet", *heads, "encoded/s", "decoded/s"]
    for width, ways in classes.items():
        for way, figures in ways.items():
            names = [f"{what}_{t:g}" for t in TEMPERATURES for what in ("gradient_error", "mean_error")]
            wrong = (f"{figures[name]:.1%}" for name in names)
            rates = (f"{figures[name]:,.0f}" for name in ("encoded_per_second", "decoded_per_second"))
            sizes = (f"{figures[name]:,.0f}" for name in ("bytes", "parquet_bytes"))
            yield [f"{int(width):,}", way, *sizes, *wrong, *rates]


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--values", default=2**22, show_default=True, help="Logits of all samples together.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--quick", is_flag=True, help="Few samples, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(values: int, rounds: int, quick: bool, output: Path) -> None:
    values, rounds = (2**16, 1) if quick else (values, rounds)
    found: dict[str, Any] = {str(classes): measure(classes, values, rounds) for classes in CLASSES}
    report = {"machine": machine(), "values": values, "classes": found}
    save(output, report)
    show(rows(found), "Codecs of logits")


if __name__ == "__main__":
    main()
