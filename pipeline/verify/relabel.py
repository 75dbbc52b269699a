"""Labelling stored inputs again: do the stored logits belong to the stored bytes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from pipeline.logits import spread_out
from pipeline.models import check_outputs, freeze, pick_device, weights_sha256
from pipeline.seeds import numpy_generator
from pipeline.shards.masks import true
from pipeline.shards.origins import SOURCE
from pipeline.shards.rows import RowFormat, Rows
from pipeline.verify.carrying import as_it_labelled
from pipeline.verify.verdict import Findings, Relabelled
from pipeline.work.numerics import reproducible
from pipeline.work.setup import autocast, blank_inputs, open_model, predict
from schemas.config import Config
from schemas.errors import BpkdError, SampleError, UserError
from schemas.manifest import MANIFEST, FileEntry, Manifest

NOISE = {"fp32": 2.0**-13, "bf16": 2.0**-5, "auto": 2.0**-5}
"""How far a logit may move when the same inputs come in another batch, as a share of the largest logit.

Another batch size adds in another order. One rounding is 2^-24 in fp32 and 2^-8 in bf16; this leaves room for what
deep nets make of it: a factor of 2,048 in fp32, and of 8 in bf16, where sums inside a layer are still fp32.
"""

Drawn = dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""Path of a shard -> numbers of the drawn samples among its source samples, and among its auxiliary samples."""


class Relabeller:
    """Labels a drawn sample of an artifact's inputs, shard by shard, and compares.

    A difference is allowed up to r + 2 n: n is the noise, see `NOISE`, and r what the codec rounds off the new logit.
    (The stored logit is its own rounding away from one that is at most n from the new one, and moving a number by n
    moves its distance to the nearest that the codec knows by at most n.)

    Args:
        config: its `[teacher]`, `run.seed`, `run.device`, `run.precision` and `cache.batch_size` are used, for text
            `data.max_length` too, and for perturbed text perhaps its `[student]`.
        url: of the artifact's directory.
        rows: format of the artifact.
        manifest: of the artifact.
        count: samples to draw.

    Raises:
        UserError: the teacher cannot be built, or does not take such samples.
    """

    def __init__(self, config: Config, url: str, rows: RowFormat, manifest: Manifest, count: int) -> None:
        self._config, self._url, self._rows, self._manifest = config, url, rows, manifest
        self._device = pick_device(config.run.device)
        self._teacher = freeze(open_model(config, "teacher", rows.kind_, rows.shape, rows.width, self._device))
        blank = blank_inputs(rows.kind_, rows.shape, self._device)
        self._width = check_outputs(self._teacher, blank, "teacher", None)
        self._drawn = draw(manifest.files, count, numpy_generator(0, "verify", manifest.manifest_sha256))
        self._count, self._excess, self._worst = 0, -1.0, (0.0, 0.0)

    def fits(self, found: Findings) -> bool:
        """Whether this is the teacher that the manifest names, and can label; a problem where it is not."""
        problem = self._misfit()
        if problem is not None:
            found.add(MANIFEST, None, f"{problem}; no logits are compared")
        return problem is None

    def _misfit(self) -> str | None:
        made_by = _teacher(self._manifest)
        named, own = made_by.get("sha256"), weights_sha256(self._teacher)
        if own != named:
            return f"made by a teacher whose weights have sha256 {named}, the config's have {own}"
        if self._width != self._rows.width:
            return f"{self._rows.width} logits a sample, the config's teacher gives {self._width}"
        longest = made_by.get("max_length", self._config.data.max_length)
        if longest != self._config.data.max_length:
            return f"made with data.max_length = {longest}, the config has {self._config.data.max_length}"
        try:
            self._teacher = as_it_labelled(
                self._teacher, self._config, self._url, self._manifest, self._rows, self._device
            )
        except BpkdError as error:
            return str(error)
        return None

    @reproducible()
    def check(self, entry: FileEntry, table: pa.Table, found: Findings) -> None:
        """Label the drawn samples of a shard, whose rows are as they must be."""
        own = true(pc.equal(table["origin"], SOURCE).combine_chunks())
        of_source, of_mined = self._drawn[entry.path]
        chosen = np.concatenate([np.flatnonzero(own)[of_source], np.flatnonzero(~own)[of_mined]])
        if not len(chosen):
            return
        try:
            drawn = table.take(pa.array(chosen)).combine_chunks()
            rows = self._rows.decode(drawn)
            with autocast(self._config, self._device):
                size = self._config.cache.batch_size
                new = predict(self._teacher, self._rows.kind_, rows.stored, size, self._device)
        except (SampleError, UserError) as error:
            found.add(entry.path, None, f"of the samples drawn to be labelled again, {error}")
            return
        self._compare(entry, rows, drawn["teacher_logits"].combine_chunks(), new, found)

    def _compare(self, entry: FileEntry, rows: Rows, column: pa.Array, new: torch.Tensor, found: Findings) -> None:
        """N rows, whose logits are stored in `column`, and the (N, K) new ones."""
        stored = spread_out(rows.logits)
        difference, rounding = self._rows.codec_.deviation(column, new)
        allowed = rounding + 2 * NOISE[self._config.run.precision] * stored[stored.isfinite()].abs().max()
        excess = (difference / allowed).nan_to_num(0.0, posinf=torch.inf)
        excess[~new.isfinite()] = torch.inf
        worst, places = excess.max(dim=1)
        for row in torch.nonzero(worst > 1)[:, 0].tolist():
            at = int(places[row])
            found.add(
                entry.path, rows.keys[row], f"logit {at} is {stored[row, at]:g}, the teacher gives {new[row, at]:g}"
            )
        row = int(worst.argmax())
        self._count += len(rows)
        if float(worst[row]) > self._excess:
            self._excess = float(worst[row])
            self._worst = float(difference[row, places[row]]), float(allowed[row, places[row]])

    @property
    def result(self) -> Relabelled:
        """What was found so far."""
        return Relabelled(self._count, *self._worst)


def draw(files: Sequence[FileEntry], count: int, generator: np.random.Generator) -> Drawn:
    """Draw `count` samples (all, where there are fewer) evenly over the shards, half of either origin if there are."""
    entries = [entry for entry in files if entry.samples]
    source = np.array([entry.source for entry in entries], np.int64)
    mined = np.array([entry.samples - entry.source for entry in entries], np.int64)
    of_mined = min(int(mined.sum()), max(count // 2, count - int(source.sum())))
    shares = _spread(source, count - of_mined, generator), _spread(mined, of_mined, generator)
    return {entry.path: (own, other) for entry, own, other in zip(entries, *shares, strict=True)}


def _spread(sizes: npt.NDArray[np.int64], count: int, generator: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """One of every `count` equal stretches of `sum(sizes)` numbered things, as numbers within each of the sizes."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    count = min(count, total)
    edges = np.array([index * total // count for index in range(count + 1)] if count else [0], np.int64)
    drawn = generator.integers(edges[:-1], edges[1:])
    shards = np.searchsorted(ends, drawn, side="right")
    return [drawn[shards == shard] - (ends[shard] - sizes[shard]) for shard in range(len(sizes))]


def _teacher(manifest: Manifest) -> Mapping[str, Any]:
    """What the manifest tells of the teacher that labelled the samples."""
    dataset = manifest.artifact == "dataset"
    place = manifest.details.get("provenance") if dataset else manifest.fingerprint.get("cache")
    teacher = place.get("teacher") if isinstance(place, dict) else None
    return teacher if isinstance(teacher, dict) else {}
