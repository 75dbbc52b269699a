"""How fast is the climb? Against the obvious PyTorch loop, foolbox and torchattacks, on the same models and batch.

    pip install foolbox GitPython && pip install --no-deps torchattacks    # those that are not there are left out
    python benchmarks/climb_speed.py

All take the same number of L2 steps up the same gap. Models are as they are built, as whoever writes the obvious loop
has them; ours are what `bpkd mine` makes of these. Each way has a process of its own; times are taken in turn, and what
is shown are ratios of medians. Writes benchmarks/results/climb_speed.json, which `python benchmarks/performance.py`
puts into docs/performance.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import click
import torch
from climb_cases import CASES, Case
from timing import Seconds, in_processes, in_turn, machine, ratio, save, show
from torch import Tensor, nn

from pipeline.mining import Bounds, ascend
from pipeline.work.numerics import computing
from schemas.registry import OBJECTIVES, STEP_RULES

RESULT = Path(__file__).parent / "results" / "climb_speed.json"
STEP = 0.2


def obvious(case: Case, steps: int) -> Tensor:
    """The loop as one writes it."""
    x = case.start.clone()
    for _ in range(steps):
        x.requires_grad_(True)
        loss = (case.teacher(x) - case.student(x)).square().sum()
        loss.backward()
        assert x.grad is not None
        norm = x.grad.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (x.ndim - 1))
        x = (x.detach() + STEP * x.grad / norm).clamp(case.low, case.high)
    return x


def with_foolbox(case: Case, steps: int) -> Tensor:
    """foolbox's L2PGD, whose loss is overridden as its documentation has it."""
    import eagerpy
    import foolbox

    bounds, device = (case.low, case.high), case.start.device
    teacher, student = (foolbox.PyTorchModel(model, bounds, device) for model in (case.teacher, case.student))

    class Attack(foolbox.attacks.L2PGD):  # type: ignore[misc]
        def get_loss_fn(self, model: Any, labels: Any) -> Any:
            return lambda inputs: (model(inputs) - student(inputs)).square().sum()

    attack = Attack(abs_stepsize=STEP, steps=steps, random_start=False)
    labels = eagerpy.astensor(torch.zeros(len(case.start), dtype=torch.int64, device=device))
    ends: Tensor = attack.run(teacher, case.start, foolbox.criteria.Misclassification(labels), epsilon=1e6)
    return ends


def with_torchattacks(case: Case, steps: int) -> Tensor:
    """torchattacks' PGDL2, of which the loss is exchanged."""
    import torchattacks

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.teacher, self.student = case.teacher, case.student

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.teacher(x), self.student(x)])

    losses = SimpleNamespace(CrossEntropyLoss=lambda: lambda both, labels: (both[0] - both[1]).square().sum())
    attack = torchattacks.PGDL2(Both().eval(), eps=1e6, alpha=STEP, steps=steps, random_start=False)
    with mock.patch("torchattacks.attacks.pgdl2.nn", losses):
        ends: Tensor = attack.forward(case.start, torch.zeros(len(case.start)))
    return ends


OBVIOUS, OURS = "obvious loop", "bpkd "
WAYS: dict[str, Callable[[Case, int], Tensor]] = {
    OBVIOUS: obvious,
    "foolbox": with_foolbox,
    "torchattacks": with_torchattacks,
}
_as_in_a_stage = ExitStack()


def bpkd(case: Case, models: tuple[Any, Any], precision: str, steps: int) -> Tensor:
    """Ours. It looks at the end of the last step, too, and gives the best point of each climb."""
    with torch.autocast(case.start.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return ascend(
            *models,
            case.start,
            case.start,
            objective=OBJECTIVES.build("l2"),
            step_rule=STEP_RULES.build("l2"),
            bounds=Bounds(case.low, case.high),
            steps=steps,
            step_size=STEP,
        ).inputs


def make(name: str, way: str, batch: int, steps: int, device: str) -> Callable[[], object]:
    """One way up one case, ready to be timed."""
    torch.manual_seed(0)
    case = CASES[name](batch, torch.device(device))
    if way in WAYS:
        climb = partial(WAYS[way], case, steps)
    else:
        _as_in_a_stage.enter_context(computing())
        precision = way.removeprefix(OURS)
        models = case.prepared(case.teacher, precision), case.prepared(case.student, precision)
        climb = partial(bpkd, case, models, precision, steps)

    def timed() -> None:
        climb()
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return timed


def run(cases: list[str], batch: int, steps: int, rounds: int, device: str) -> dict[str, Any]:
    """Seconds per climb of a batch, by case and way."""
    found = {}
    for name in cases:
        images_only = ("torchattacks",) if name == "MiniLM" else ()
        others = [way for way in WAYS if (way == OBVIOUS or find_spec(way)) and way not in images_only]
        ways = [*others, *(f"{OURS}{precision}" for precision in ("fp32", "bf16"))]
        with in_processes({way: partial(make, name, way, batch, steps, device) for way in ways}) as calls:
            found[name] = in_turn(calls, rounds)
    return {"batch": batch, "steps": steps, "seconds": found}


def rows(seconds: dict[str, Seconds], batch: int) -> Iterator[list[str]]:
    """Heads, and what is shown of every case and way."""
    yield ["models", "way", "climbs/s", "of the obvious loop", "of foolbox"]
    for name, ways in seconds.items():
        for way, times in ways.items():
            ratios = (f"{ratio(ways, base, way):.2f} x" if base in ways else "" for base in ("obvious loop", "foolbox"))
            count = batch // 4 if name == "MiniLM" else batch
            yield [name, way, f"{count / statistics.median(times):,.0f}", *ratios]


@click.command(help=(__doc__ or "").splitlines()[0])
@click.option("--case", "cases", type=click.Choice([*CASES]), multiple=True, default=[*CASES], help="Of models.")
@click.option("--batch", default=128, show_default=True)
@click.option("--steps", default=10, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--quick", is_flag=True, help="Few steps, to see that it works.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULT, show_default=True, help="JSON to write.")
def main(cases: tuple[str, ...], batch: int, steps: int, rounds: int, device: str, quick: bool, output: Path) -> None:
    if quick:
        batch, steps, rounds = 8, 2, 1
    report = {
        "machine": machine(*(name for name in WAYS if name != OBVIOUS and find_spec(name))),
        **run([*cases], batch, steps, rounds, device),
    }
    save(output, report)
    show(rows(report["seconds"], batch), "The climb")


if __name__ == "__main__":
    main()
