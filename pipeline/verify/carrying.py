"""The teacher as it labelled perturbed text: with the map that carries the student's perturbations to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import torch

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.datasets.dataset import dataset_details
from pipeline.layout import MAP
from pipeline.models import AnyModel, TextModel
from pipeline.models.text import Form
from pipeline.shards.rows import RowFormat
from pipeline.storage import Folder
from pipeline.work.embeddings import embeddings_sha256, read_map
from pipeline.work.setup import open_model
from schemas.config import Config
from schemas.errors import UserError, clipped
from schemas.manifest import Manifest

_FORMS: tuple[Form, ...] = get_args(Form)


def as_it_labelled(
    teacher: AnyModel, config: Config, url: str, manifest: Manifest, rows: RowFormat, device: torch.device
) -> AnyModel:
    """`teacher` itself, or for perturbed text a view of it that takes such perturbations.

    Args:
        teacher: of `config`, frozen.
        config: its student gives the embeddings where the teacher was given mapped ones (`mine.carry = "embedding"`).
        url: directory of a data set, which has its map with it, or of a round's auxiliary samples, whose map is in
            the run's directory.
        manifest: of it.
        rows: format of its rows.
        device: where the models are.

    Raises:
        UserError: the map is missing or fits neither the samples nor the teacher, or the student is another one.
        BpkdError: the map is damaged.
    """
    if rows.delta is None or not isinstance(teacher, TextModel):
        return teacher
    made = _made(url, manifest)
    _check_map(made.matrix, (teacher.embeddings.shape[1], rows.shape[-1]))
    student = None if made.carry == "offset" else _student_embeddings(config, made.student, rows, device)
    return teacher.carrying(made.matrix, made.carry, student)


@dataclass(frozen=True)
class _Made:
    """How perturbations were made: the map's Q, `mine.carry`, and the SHA-256 of the student's embeddings."""

    matrix: torch.Tensor | None
    carry: Form
    student: Any


def _made(url: str, manifest: Manifest) -> _Made:
    if manifest.artifact == "dataset":
        made_for = dataset_details(url, manifest).embeddings
        if made_for is None:
            raise UserError("details.embeddings is missing, without which perturbations mean nothing")
        return _Made(read_map(url, manifest).matrix, made_for.carry, made_for.student)
    place = layout.embeddings(_run_of(url))
    beside = read_manifest(place, "mine CONFIG")
    mined = manifest.fingerprint.get("mine")
    named = mined.get("carry") if isinstance(mined, dict) else None
    carry = next((form for form in _FORMS if form == named), None)
    if carry is None:
        raise UserError(f"fingerprint.mine.carry = {clipped(str(named))} is none of {', '.join(_FORMS)}")
    return _Made(read_map(place, beside).matrix, carry, beside.fingerprint.get("student"))


def _run_of(url: str) -> str:
    """The run whose directory has these auxiliary samples two levels down."""
    folder = Folder(url)
    return (str(folder.local) if folder.local else folder.url).rsplit("/", 2)[0]


def _check_map(matrix: torch.Tensor | None, shape: tuple[int, int]) -> None:
    if matrix is None:
        if shape[0] != shape[1]:
            raise UserError(f"there is no {MAP}, and the teacher's embeddings have {shape[0]} numbers, not {shape[1]}")
    elif tuple(matrix.shape) != shape or not matrix.is_floating_point() or not matrix.isfinite().all():
        found = f"{matrix.dtype} {tuple(matrix.shape)}".removeprefix("torch.")
        raise UserError(f"{MAP} holds {clipped(found)}, must be finite float32 {shape}")


def _student_embeddings(config: Config, sha256: Any, rows: RowFormat, device: torch.device) -> torch.Tensor:
    student = open_model(config, "student", rows.kind_, rows.shape, rows.width, device)
    assert isinstance(student, TextModel)
    if embeddings_sha256(student) != sha256:
        raise UserError(
            'mine.carry = "embedding" gave the teacher embeddings of another student than [student] of the config'
        )
    return student.embeddings
