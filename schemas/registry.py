"""Names that a config may use, each bound to the code behind it.

A registry is a table of strings, so that a config is validated, `--help` is printed and the JSON Schema
is generated without importing torch. To add an objective, a step rule, a codec, a loss or a source, write
one file and add one line here. A config may also name its own code as `package.module:Name`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from schemas.errors import UserError, unknown


class Registry:
    """A table from names to `module:attribute`, imported on first use.

    Args:
        what: the noun for messages, for example "objective".
        entries: name -> "module:attribute".
    """

    def __init__(self, what: str, entries: Mapping[str, str]) -> None:
        self.what = what
        self._entries = dict(entries)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def check(self, name: str) -> str:
        """Return `name` unchanged.

        Raises:
            ValueError: neither a known name nor of the form `package.module:Name`.
        """
        if name in self._entries or ":" in name:
            return name
        raise ValueError(unknown(self.what, name, self.names, more=", or package.module:Name"))

    def target(self, name: str) -> str:
        """`module:attribute` that `name` stands for.

        Raises:
            UserError: the name is unknown.
        """
        try:
            return self._entries.get(self.check(name), name)
        except ValueError as error:
            raise UserError(str(error)) from None

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            UserError: the name is unknown, or its module cannot be imported.
        """
        module_name, _, attribute = self.target(name).partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            raise UserError(f"{self.what} {name!r} cannot be imported: {error}") from error

    def build(self, name: str, options: Mapping[str, Any] | None = None, **common: Any) -> Any:
        """Call what `name` stands for with `options` and with those of `common` that it takes.

        Raises:
            UserError: an option that it does not take.
        """
        factory = self.load(name)
        accepted = set(inspect.signature(factory).parameters)
        unknown = sorted(set(options or {}) - accepted)
        if unknown:
            takes = ", ".join(sorted(accepted)) or "no options"
            raise UserError(f"{self.what} {name!r} does not take {unknown[0]!r} (takes {takes})")
        return factory(**{**{k: v for k, v in common.items() if k in accepted}, **(options or {})})


KINDS = Registry(
    "kind of data",
    {
        "image": "pipeline.kinds.image:ImageKind",
        "array": "pipeline.kinds.array:ArrayKind",
        "text": "pipeline.kinds.text:TextKind",
    },
)

SOURCES = Registry(
    "source format",
    {
        "parquet": "pipeline.sources.parquet:ParquetSource",
        "webdataset": "pipeline.sources.webdataset:WebDatasetSource",
        "folder": "pipeline.sources.folder:FolderSource",
        "csv": "pipeline.sources.table:CsvSource",
        "jsonl": "pipeline.sources.table:JsonlSource",
        "numpy": "pipeline.sources.arrays:NumpySource",
    },
)

ZOO = Registry(
    "zoo model",
    {
        "mlp": "pipeline.models.mlp:mlp",
        "cnn": "pipeline.models.cnn:cnn",
        "resnet": "pipeline.models.resnet:resnet",
    },
)

CODECS = Registry(
    "logit codec",
    {
        "fp16": "pipeline.logits.dense:DenseFp16",
        "fp32": "pipeline.logits.dense:DenseFp32",
        "topk": "pipeline.logits.topk:TopK",
        "sampled": "pipeline.logits.sampled:Sampled",
    },
)

DELTAS = Registry(
    "codec of perturbations",
    {
        "fp16": "pipeline.kinds.deltas.fp16:Fp16Delta",
        "int8": "pipeline.kinds.deltas.int8:Int8Delta",
    },
)

OBJECTIVES = Registry(
    "objective",
    {
        "l2": "pipeline.mining.objectives.l2:SquaredL2",
        "kl": "pipeline.mining.objectives.kl:KullbackLeibler",
        "js": "pipeline.mining.objectives.js:JensenShannon",
        "student": "pipeline.mining.objectives.student:StudentAlone",
    },
)

STEP_RULES = Registry(
    "step rule",
    {
        "gradient": "pipeline.mining.steps.gradient:GradientStep",
        "l2": "pipeline.mining.steps.l2:L2Step",
        "smooth": "pipeline.mining.steps.smooth:SmoothStep",
        "sign": "pipeline.mining.steps.sign:SignStep",
        "adam": "pipeline.mining.steps.adam:AdamStep",
        "sentence": "pipeline.mining.steps.sentence:SentenceStep",
        "token": "pipeline.mining.steps.token:TokenStep",
    },
)

STARTS = Registry(
    "start",
    {
        "sample": "pipeline.mining.starts.sample:SampleStart",
        "noise": "pipeline.mining.starts.noise:NoiseStart",
        "mixup": "pipeline.mining.starts.mixup:MixupStart",
        "cutmix": "pipeline.mining.starts.cutmix:CutmixStart",
        "crop": "pipeline.mining.starts.crop:CropStart",
    },
)

CLIMBERS = Registry(
    "output of mining",
    {
        "input": "pipeline.work.climbers.inputs:InputClimber",
        "embedding": "pipeline.work.climbers.embedding:EmbeddingClimber",
        "token": "pipeline.work.climbers.token:TokenClimber",
    },
)

KEEPS = Registry(
    "keep rule",
    {
        "all": "pipeline.shards.keep:keep_all",
        "grew": "pipeline.shards.keep:keep_grew",
        "top": "pipeline.shards.keep:keep_top",
    },
)

LOSSES = Registry(
    "loss",
    {
        "kl": "pipeline.distill.losses.kl:KullbackLeibler",
        "mse": "pipeline.distill.losses.mse:MeanSquaredError",
        "dkd": "pipeline.distill.losses.dkd:Decoupled",
        "js": "pipeline.distill.losses.js:JensenShannon",
    },
)

METRICS = Registry(
    "metric",
    {
        "f1": "pipeline.metrics.f1:F1",
        "matthews": "pipeline.metrics.matthews:Matthews",
        "pearson": "pipeline.metrics.pearson:Pearson",
        "spearman": "pipeline.metrics.spearman:Spearman",
    },
)

RUNNERS = Registry(
    "runner",
    {
        "threads": "pipeline.runners.threads:ThreadsRunner",
        "processes": "pipeline.runners.processes:ProcessesRunner",
        "dask": "pipeline.runners.dask:DaskRunner",
        "ray": "pipeline.runners.ray:RayRunner",
    },
)

FORMATS = Registry(
    "export format",
    {
        "webdataset": "pipeline.shards.webdataset:WebDatasetFormat",
        "parquet": "pipeline.shards.parquet:ParquetFormat",
    },
)
