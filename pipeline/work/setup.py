"""Opening what a config names: the two models, the cache that they imply, and the row format."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pipeline.artifacts.artifact import read_manifest
from pipeline.artifacts.identity import require_same
from pipeline.kinds import Inputs, Kind, Stored
from pipeline.logits import Codec
from pipeline.metrics import check_metrics
from pipeline.models import (
    AnyModel,
    TextModel,
    check_outputs,
    compatible,
    freeze,
    load_model,
    pick_device,
    prepare,
    weights_sha256,
)
from pipeline.models.embedding import token_embedding
from pipeline.shards.rows import RowFormat
from pipeline.sources import Block, Samples, open_samples
from pipeline.storage import file_fingerprint, sha256
from pipeline.text.vocabulary import require_shared
from pipeline.work.curves import check_curves
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.registry import CODECS, KEEPS, LOSSES, OBJECTIVES, STARTS, STEP_RULES
from schemas.sections import ModelConfig

_log = logging.getLogger("bpkd.models")

_NO_SETTINGS = ("_name_or_path", "transformers_version")
"""What a config of transformers says of itself that changes nothing in the model."""

Role = Literal["teacher", "student"]


def check_choices(config: Config) -> None:
    """Build everything that the config names from a registry, so that a wrong option is found before any work.

    Raises:
        UserError: a name does not import, or an option is not taken.
    """
    if config.run.versions:
        raise UserError(
            "run.versions is for `bpkd` commands; in code take the config of pipeline.versions.open_version(...)"
        )
    mine, train = config.mine, config.train
    OBJECTIVES.build(mine.objective, temperature=mine.temperature)
    STEP_RULES.build(mine.step_rule, mine.step_options)
    STARTS.build(mine.start, mine.start_options)
    KEEPS.load(mine.keep)
    LOSSES.build(train.loss or "kl", train.loss_options, temperature=train.temperature)
    _codec_options(config)
    check_metrics(config.data.task, config.data.metrics)
    check_curves(config)


def preflight(config: Config) -> None:
    """Open all that a run needs to begin.

    Raises:
        UserError: the source, a model or an option is wrong, or the models have different vocabularies.
    """
    check_choices(config)
    device = pick_device(config.run.device)
    open_pair(config, open_samples(config), device)


def open_pair(config: Config, samples: Samples, device: torch.device) -> tuple[AnyModel, AnyModel, int]:
    """The frozen teacher, the student with the weights that it starts from, and K, the number of their outputs.

    Raises:
        UserError: one cannot be built, their outputs do not fit, or they are to mine text and read other vocabularies.
    """
    teacher, width = open_teacher(config, samples, device)
    student = open_student(config, samples.kind, samples.shape, width, device)
    if config.run.rounds and isinstance(teacher, TextModel) and isinstance(student, TextModel):
        require_shared(teacher.tokenizer, student.tokenizer)
    return teacher, student, width


def open_teacher(config: Config, samples: Samples, device: torch.device) -> tuple[AnyModel, int]:
    """The frozen teacher and K, the number of its outputs.

    Raises:
        UserError: it cannot be built, or its outputs do not fit the data's classes or targets.
    """
    regression = config.data.task == "regression"
    outputs = samples.targets if regression else samples.classes
    teacher = freeze(open_model(config, "teacher", samples.kind, samples.shape, outputs, device))
    if isinstance(teacher, TextModel) and teacher.untrained is not None:
        _log.warning(
            "teacher.factory = %r: its classifier is new (%s) and knows nothing; fine-tune it, or set teacher.weights",
            config.teacher.factory,
            teacher.untrained,
        )
    width = check_outputs(teacher, blank_inputs(samples.kind, samples.shape, device), "teacher", samples.classes)
    if regression and outputs is not None and outputs != width:
        raise UserError(
            f"the teacher gives {width} numbers per sample, the labels have {outputs}; they must be as many"
        )
    if not regression and width < 2:
        raise UserError(
            'the teacher has 1 output, a classifier has 2 or more; for numbers set data.task = "regression"'
        )
    return teacher, width


def leave_device(model: AnyModel) -> None:
    """Free the device of a model that only workers elsewhere compute with, perhaps on the same device."""
    model.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def open_student(config: Config, kind: Kind, shape: tuple[int, ...], width: int, device: torch.device) -> AnyModel:
    """The student with the weights that it starts from.

    Raises:
        UserError: it cannot be built, or its outputs are not as many as the teacher's.
    """
    student = open_model(config, "student", kind, shape, width, device)
    compatible(width, check_outputs(student, blank_inputs(kind, shape, device), "student", None))
    if isinstance(student, TextModel) and freezes_embeddings(config):
        token_embedding(student.inner).requires_grad_(False)
    return student


def renew_student(config: Config, student: AnyModel, seed: int, rows: RowFormat, width: int) -> None:
    """Give the student the weights of a new one: where they are random, others for every seed.

    Args:
        config: `[student]`.
        student: with the weights of an earlier round; changed in place.
        seed: of the new weights.
        rows: of the samples that it takes.
        width: outputs.
    """
    seeded = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
    new = open_model(seeded, "student", rows.kind_, rows.shape, width, student.device)
    student.load_state_dict(new.state_dict())


def open_model(
    config: Config, role: Role, kind: Kind, shape: tuple[int, ...], outputs: int | None, device: torch.device
) -> AnyModel:
    """A model as its section of the config has it.

    Args:
        config: `[teacher]` or `[student]`, and `run.seed` for new weights and `data.max_length` for text.
        role: which of the two.
        kind: of samples.
        shape: of one stored sample.
        outputs: where it is known how many there must be.
        device: where the model goes.

    Raises:
        UserError: the factory, the weights or the tokenizer are wrong.
    """
    section: ModelConfig = getattr(config, role)
    return load_model(
        section,
        config.locate,
        role=role,
        kind=kind.column,
        shape=shape,
        classes=outputs,
        seed=config.run.seed,
        device=device,
        max_length=config.data.max_length,
    )


def freezes_embeddings(config: Config) -> bool:
    """Whether a student of text is trained with its token embeddings as they are: unless they are random, it is.

    Few samples hold few of the words, and those of a pretrained model know more than they could teach.
    """
    if config.train.freeze_embeddings is not None:
        return config.train.freeze_embeddings
    student = config.student
    pretrained = student.factory.startswith("hf:") and student.kwargs.get("pretrained", True) is not False
    return config.mine.output == "embedding" or pretrained or student.weights is not None


def cache_fingerprint(config: Config, samples: Samples, teacher: AnyModel) -> dict[str, Any]:
    """Everything that decides the cached logits."""
    return {
        "source": samples.fingerprint(),
        "teacher": identify_model(config, "teacher", teacher),
        "codec": config.cache.codec,
        **({"codec_options": options} if (options := _codec_options(config)) else {}),
        "precision": config.run.precision,
        "batch_size": config.cache.batch_size,
    }


def require_cache(url: str, config: Config, samples: Samples, teacher: AnyModel | None = None) -> Manifest:
    """The cache's manifest, if it belongs to this config.

    Without the teacher at hand only the source and the codec are compared.

    Raises:
        UserError: it is missing, or was made from something else.
    """
    cache = read_manifest(url, "cache CONFIG")
    if teacher is not None:
        wanted = cache_fingerprint(config, samples, teacher)
    else:
        options = {"codec_options": _codec_options(config)} if cache.fingerprint.get("codec_options") else {}
        wanted = {**cache.fingerprint, "source": samples.fingerprint(), "codec": config.cache.codec, **options}
    require_same(url, cache.fingerprint, wanted, "go back to that, or make it anew with `bpkd cache CONFIG --restart`")
    return cache


def row_format(config: Config, samples: Samples, cache: Manifest) -> RowFormat:
    """The format of the rows that come from this source and cache."""
    return RowFormat(
        kind=config.data.kind,
        codec=cache.fingerprint["codec"],
        codec_options=cache.fingerprint.get("codec_options", {}),
        width=cache.details["width"],
        shape=samples.shape,
        task=config.data.task,
        targets=samples.targets or 1,
        class_names=tuple(samples.class_names) if samples.class_names else None,
    )


def model_settings(config: Config, role: Role, model: AnyModel) -> dict[str, Any]:
    """How a model is built: its section without the weights, and the hashes of files in it with the user's own code.

    Of a text model also how much it reads, by which tokenizer, and the settings that come with its weights.
    """
    section: ModelConfig = getattr(config, role)
    described = section.model_dump(mode="json", exclude={"weights"})
    for key, code in (("factory", "code"), ("tokenizer", "tokenizer_code")):
        file, _, attribute = (described[key] or "").rpartition(":")
        if file.endswith(".py"):
            own = file_fingerprint(config.locate(file))["sha256"]
            described |= {key: f"{Path(file).name}:{attribute}", code: own}
    if isinstance(model, TextModel):
        described |= {"max_length": config.data.max_length, **_text_settings(model)}
    return described


def identify_model(config: Config, role: Role, model: AnyModel) -> dict[str, Any]:
    """How a model is built, and the hash of its weights."""
    return {**model_settings(config, role, model), "sha256": weights_sha256(model)}


def _text_settings(model: TextModel) -> dict[str, str]:
    """Hashes of the tokenizer, and of what a model of transformers is told besides its weights."""
    tokenizer = model.tokenizer
    vocabulary = json.dumps(tokenizer.vocabulary, sort_keys=True).encode()
    told = f"{tokenizer.backend.pad_id} {tokenizer.segmented}".encode()
    settings = {"tokenizer_sha256": sha256((tokenizer.to_json() or vocabulary) + told)}
    own: Any = getattr(model.inner, "config", None)
    if hasattr(own, "to_dict"):
        known = {key: value for key, value in own.to_dict().items() if key not in _NO_SETTINGS}
        settings["settings_sha256"] = sha256(json.dumps(known, sort_keys=True, default=str).encode())
    return settings


def build_codec(config: Config, width: int) -> Codec:
    """The codec of `[cache]` for logits of this width.

    Raises:
        UserError: an option is wrong.
    """
    cache = config.cache
    codec: Codec = CODECS.build(cache.codec, cache.codec_options, width=width, temperature=config.train.temperature)
    return codec


def _codec_options(config: Config) -> dict[str, Any]:
    """With the defaults filled in; they do not depend on the width."""
    return dict(build_codec(config, 2**16).options)


def check_labels(block: Block, width: int) -> None:
    """Raise UserError where a class index is none of the teacher's."""
    if block.labels.dtype == np.int64 and len(block.labels) and block.labels.max() >= width:
        worst = int(block.labels.argmax())
        raise UserError(
            f"sample {block.keys[worst]} has label {block.labels[worst]}, but the teacher knows {width} classes "
            f"(0 to {width - 1}); fix the labels, or set data.labels = false"
        )


def blank_inputs(kind: Kind, shape: tuple[int, ...], device: torch.device) -> Inputs:
    """One sample, to see what a model makes of the shape."""
    return kind.to_inputs(kind.blank(shape)).to(device)


def prepared(config: Config, model: AnyModel, kind: Kind, shape: tuple[int, ...]) -> AnyModel:
    """A frozen model in the form that is fastest for samples of this shape; see `pipeline.models.prepare`."""
    return prepare(model, blank_inputs(kind, shape, model.device), config.run.precision)


def autocast(config: Config, device: torch.device) -> AbstractContextManager[Any]:
    """The precision of forward and backward passes that `run.precision` asks for."""
    if config.run.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def predict(
    model: torch.nn.Module, kind: Kind, stored: np.ndarray[Any, Any], batch_size: int, device: torch.device
) -> torch.Tensor:
    """(N, K) float32 logits on the CPU for N > 0 stored samples."""
    outputs = []
    order = alike(kind, stored)
    with torch.inference_mode():
        for start in range(0, len(stored), batch_size):
            inputs = kind.to_inputs(stored[order[start : start + batch_size]]).to(device)
            outputs.append(model(inputs).float().cpu())
    logits = torch.cat(outputs)
    return logits[torch.from_numpy(np.argsort(order))]


def alike(kind: Kind, stored: Stored) -> npt.NDArray[np.int64]:
    """(N,) an order in which samples of about the same length follow each other: batches then need little padding."""
    lengths = kind.lengths(stored)
    return np.arange(len(stored)) if lengths is None else np.argsort(lengths, kind="stable")
