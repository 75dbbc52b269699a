"""What mining of text hangs on: the map between the two models' embeddings and the vocabulary, kept as an artifact."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pipeline.artifacts.artifact import Artifact, read_manifest
from pipeline.artifacts.promised import read_checked
from pipeline.layout import MAP, TOKENIZER
from pipeline.mining.embedding import EmbeddingMap, fit_map, mean_norm
from pipeline.models import TextModel
from pipeline.progress import Progress
from pipeline.storage import Folder
from schemas.errors import BpkdError
from schemas.manifest import FileEntry, Manifest

UNIT = "embeddings"
_Q = "Q"
_LARGE = 0.7
"""A residual at which the map explains half of the teacher's embeddings, in squares."""


@dataclass(frozen=True)
class Embeddings:
    """Of one pair of models.

    Attributes:
        manifest: of the artifact.
        map: from the student's embeddings to the teacher's.
    """

    manifest: Manifest
    map: EmbeddingMap


def open_embeddings(
    url: str, teacher: TextModel, student: TextModel, progress: Progress, *, restart: bool = False
) -> Embeddings:
    """The map between two models, fitted once and kept.

    Args:
        url: of the artifact: `embedding-map.safetensors` with Q (none where it is the identity), and the student's
            `tokenizer.json` where it has one. Its details have the residual, and the mean norm of the student's
            embeddings, in which step sizes are counted.
        teacher, student: with one vocabulary.
        progress: where to report.
        restart: fit it anew.

    Raises:
        UserError: what is there belongs to others.
    """
    fingerprint = {
        "vocabulary": student.tokenizer.size,
        "teacher": embeddings_sha256(teacher),
        "student": embeddings_sha256(student),
    }
    run = url.rpartition("/")[0]
    with Artifact(url, "embeddings", fingerprint, restart=restart, run=run, say=progress.say) as artifact:
        if artifact.manifest is None:
            # An own tokenizer may leave ids out.
            ids = torch.tensor(sorted(student.tokenizer.vocabulary.values()), device=student.device)
            found = fit_map(teacher.embeddings[ids], student.embeddings[ids])
            artifact.commit(UNIT, _write(artifact, found, student))
            details = {
                "residual": found.residual,
                "identity": found.matrix is None,
                "unit": mean_norm(student.embeddings),
                "width": student.embeddings.shape[1],
            }
            artifact.finish([UNIT], details)
            how = "are the same" if found.matrix is None else f"are mapped with a residual of {found.residual:.1%}"
            progress.say(f"embeddings: the student's and the teacher's {how}")
            if found.residual > _LARGE:
                progress.say(
                    "embeddings: a shift of the student's then says little to the teacher; take a student with "
                    "embeddings that were trained, best some of the teacher's layers"
                )
        assert artifact.manifest is not None
        return Embeddings(artifact.manifest, read_map(url, artifact.manifest))


def read_map(url: str, manifest: Manifest) -> EmbeddingMap:
    """The map that lies beside a manifest which lists it; the identity where it lists none.

    Raises:
        BpkdError: the file is missing or damaged.
    """
    entry = next((entry for entry in manifest.files if entry.path == MAP), None)
    try:
        residual = float(manifest.details.get("residual", 0.0))
        matrix = None if entry is None else load(read_checked(Folder(url), entry))[_Q]
        return EmbeddingMap(matrix, residual)
    except (SafetensorError, LookupError, ValueError, TypeError) as error:
        raise BpkdError(f"{url}/{MAP}: damaged: {error}") from None


def copied(url: str) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a finished artifact, and its files by name.

    Raises:
        UserError: there is none.
        BpkdError: a file is missing or damaged.
    """
    manifest = read_manifest(url, "mine CONFIG")
    return manifest, {entry.path: read_checked(Folder(url), entry) for entry in manifest.files}


def embeddings_sha256(model: TextModel) -> str:
    """SHA-256 over the shape and the bytes of a model's token embeddings as float32."""
    values = model.embeddings.detach().to("cpu", torch.float32).contiguous()
    digest = hashlib.sha256(f"{tuple(values.shape)}\0".encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()


def _write(artifact: Artifact, found: EmbeddingMap, student: TextModel) -> list[FileEntry]:
    files: dict[str, Any] = {}
    if found.matrix is not None:
        files[MAP] = save({_Q: found.matrix})
    vocabulary = student.tokenizer.to_json()
    if vocabulary is not None:
        files[TOKENIZER] = vocabulary
    return [artifact.write(name, data) for name, data in files.items()]
