"""The sections of a config file. Descriptions here become the starter config's comments and the JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from schemas import registry
from schemas.recipes import RECIPES, check_recipe, told_recipes
from schemas.registry import Registry

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=2**53)]
Options = dict[str, float | int | str | bool]

_BYTES = r"^(\d{1,12}(?:\.\d{1,6})?) ?([KMGkmg]i?[Bb])$"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def in_bytes(size: str) -> float:
    """Bytes of a size such as "64MB" or "1.5 GiB".

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(_BYTES, size)
    if match is None:
        raise ValueError("takes a size with its unit, such as 8GB or 512MiB")
    return float(match[1]) * _UNITS[match[2].upper()]


def _size_or_none(size: Any) -> Any:
    """A size as `in_bytes` takes it, or "0"; a number, which has no unit, may be 0."""
    size = str(size) if isinstance(size, int | float) else size
    if isinstance(size, str) and size != "0":
        in_bytes(size)
    return size


def _named(known: Registry) -> Any:
    """A string that names an entry of a registry or the user's own `package.module:Name`."""
    check: Callable[[str], str] = known.check
    own = {"type": "string", "pattern": ":"}
    return Annotated[str, AfterValidator(check), WithJsonSchema({"anyOf": [{"enum": list(known.names)}, own]})]


class Section(BaseModel):
    """A config section: unknown keys are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class RunConfig(Section):
    name: str = Field("distill", min_length=1, description="of the run, kept in the data set's provenance")
    output: str = Field(min_length=1, description="directory or fsspec URL that receives every artifact of the run")
    seed: int = Field(0, ge=0, description="all randomness is derived from this number")
    rounds: int = Field(5, ge=0, le=2**53, description="min-max rounds; 0 is plain distillation")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32",
        description="of the forward and backward passes in cache and mine; auto: bf16 where a trial finds it faster",
    )
    runner: _named(registry.RUNNERS) = Field(  # type: ignore[valid-type]
        "threads", description="where shards are made: threads, processes, dask (extra) or ray (extra)"
    )
    runner_options: Options = Field(
        default_factory=dict,
        description='dask, ray: { address = "tcp://host:8786", memory = "8GB" }, of a cluster that runs already and of '
        "each worker; ray: gpus_per_worker",
    )
    workers: Count | Literal["all"] = Field(
        1,
        description="shards that cache, mine and export work on at a time, which never changes the result; "
        '"all": one for each GPU or worker of the cluster, else for each core',
    )
    base: str | None = Field(
        None, description="a finished run, of which all that was made from the same is taken over instead of made anew"
    )
    versions: bool = Field(
        False,
        description="keep versions side by side in output: v001, v002, ...; where the source has grown or a model is "
        "another, the next one is begun, with the last as its base",
    )
    disk_cache: Annotated[str, BeforeValidator(_size_or_none)] = Field(
        "0",
        json_schema_extra={"pattern": rf"^(0|{_BYTES[1:-1]})$"},
        description='room on the local disk for copies of remote shards, as "20GB"; 0: none',
    )

    @property
    def disk_cache_bytes(self) -> int:
        return 0 if self.disk_cache == "0" else int(in_bytes(self.disk_cache))


class Columns(Section):
    """Which columns (Parquet, CSV, JSONL), members (tar) or arrays (npz) hold what; found by name when left out."""

    image: str | None = Field(None, description="encoded image bytes, or a path relative to the file")
    text: str | None = Field(None, description="a text: the sentence, or the first of a pair")
    text_pair: str | None = Field(None, description="the second text of a pair, as in natural language inference")
    features: str | list[str] | None = Field(None, description="one column of lists, or several of numbers")
    label: str | None = Field(None, description="class index, class name, or number to regress on")
    key: str | None = Field(None, description="unique name of the sample; file and row when left out")


class DataConfig(Section):
    kind: _named(registry.KINDS) = Field("image", description="image, text or array")  # type: ignore[valid-type]
    task: Literal["classification", "regression"] = Field("classification", description="what the logits mean")
    train: str | list[str] = Field(description="file, directory, glob or fsspec URL; a list of them")
    eval: str | list[str] | None = Field(None, description="held-out data for evaluate; never trained on")
    format: _named(registry.SOURCES) | None = Field(None, description="found from the file names when left out")  # type: ignore[valid-type]
    limit: Count | None = Field(None, description="use the first N samples of train only")
    shuffle: bool = Field(False, description="draw the samples of limit from all of train, the same for every seed")
    labels: bool = Field(True, description="false: pretend that train has no labels")
    classes: Count | list[str] | None = Field(None, description="number or names; read from the data when left out")
    columns: Columns = Field(default_factory=Columns, description="which column holds what")
    mode: Literal["L", "RGB", "RGBA"] | None = Field(None, description="convert images to grey, RGB or RGBA")
    size: tuple[Count, Count] | None = Field(None, description="resize images to [height, width], such as [32, 32]")
    max_length: Annotated[int, Field(ge=4, le=2**16)] = Field(
        128, description="tokens of a text that a model sees, special ones included; the rest is cut"
    )
    metrics: list[_named(registry.METRICS)] = Field(  # type: ignore[valid-type]
        default_factory=list, description="figures of evaluate beside the usual ones"
    )
    shard_size: Count = Field(1024, description="samples in one unit of work (cache and mine)")
    license: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="of train, for the data set's card: a name that the Hugging Face hub knows, or your own words"
    )
    homepage: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2000)] | None = Field(
        None, description="of train, for the card: an http(s) URL"
    )
    citation: Annotated[str, Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="of train, for the card: how to cite it, as text or BibTeX"
    )


class ModelConfig(Section):
    factory: str = Field(
        description="package.module:callable, path/to/file.py:callable, zoo:NAME, or hf:NAME for a transformers "
        "text classifier in a directory, an installed package or the Hugging Face hub"
    )
    kwargs: dict[str, Any] = Field(default_factory=dict, description="passed to the factory")
    weights: str | None = Field(None, description="safetensors, or .pt that loads under weights_only=True")
    tokenizer: str | None = Field(
        None, description="of a text model, as hf:NAME or a factory; when left out that of the factory's hf:NAME"
    )
    layers: list[Annotated[int, Field(ge=0)]] | None = Field(
        None,
        min_length=1,
        description="keep these layers of an hf: model only, numbered from 0; a student without a factory has the "
        "teacher's",
    )
    mean: list[float] | None = Field(None, description="per channel (or feature), subtracted inside the model wrapper")
    std: list[Positive] | None = Field(
        None, description="per channel (or feature), divided by inside the model wrapper"
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> ModelConfig:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} values and std {len(self.std)}")
        return self


class CacheConfig(Section):
    codec: _named(registry.CODECS) = Field("fp16", description="how teacher logits are stored")  # type: ignore[valid-type]
    codec_options: dict[str, Any] = Field(
        {}, description="of the codec: k of topk, draws of sampled, temperature of both"
    )
    batch_size: Count = Field(256, description="samples in one forward pass of the teacher")


class MineConfig(Section):
    recipe: Annotated[str, AfterValidator(check_recipe), WithJsonSchema({"enum": list(RECIPES)})] | None = Field(
        None, description=f"settings that go together; keys set beside it count more: {told_recipes()}"
    )
    objective: _named(registry.OBJECTIVES) = Field("l2", description="disagreement that the climb ascends")  # type: ignore[valid-type]
    temperature: Positive = Field(4.0, description="of kl and js")
    step_rule: _named(registry.STEP_RULES) = Field(  # type: ignore[valid-type]
        "l2",
        description="gradient (the paper's), l2 (normalised), sign, adam; for images also smooth (blurred, then "
        "normalised); for text also sentence (default), token",
    )
    step_options: Options = Field(default_factory=dict, description="smooth: sigma, in pixels")
    step_size: Positive = Field(
        0.2,
        description="length of one step in input units (images: [0, 1]; text: mean embedding norms, 0.6 by default)",
    )
    step_decay: Literal["constant", "linear", "cosine"] = Field("constant", description="of the step size over a climb")
    steps: int = Field(
        10, ge=0, le=2**53, description="steps of one climb (text: 2, token output 0); 0 stores the start itself"
    )
    patience: Count | None = Field(None, description="stop a sample after so many steps without a better gap")
    bounds: tuple[float, float] | None = Field(
        None, description="valid input range; images: [0, 1], arrays: per feature as in the source"
    )
    ball: Literal["l2", "linf"] | None = Field(
        None, description="also stay within this ball round the parent (text: each token)"
    )
    radius: Positive = Field(1.0, description="of the ball, in input units (text: mean embedding norms)")
    start: _named(registry.STARTS) = Field("sample", description="where a climb starts")  # type: ignore[valid-type]
    start_options: Options = Field(
        default_factory=dict, description="noise: std; mixup, cutmix: alpha; crop: pad, flip, padding"
    )
    opponent: Literal["continue", "fresh"] = Field(
        "continue",
        description="what a round climbs against: the student as it is so far, or one with new weights, trained for as "
        "long, so that samples are made for no student in particular",
    )
    climbs: Count = Field(1, description="climbs per source sample and round; more than one needs a random start")
    keep: _named(registry.KEEPS) = Field("all", description="all, grew (gap grew) or top (by gap)")  # type: ignore[valid-type]
    keep_fraction: Fraction = Field(0.5, description="of each shard, for keep = top")
    batch_size: Count = Field(128, description="samples that climb together")
    output: _named(registry.CLIMBERS) | None = Field(  # type: ignore[valid-type]
        None,
        description="what comes out: input (images, arrays), for text embedding (perturbed token embeddings) or token "
        "(readable sentences); when left out input, for text token",
    )
    delta: _named(registry.DELTAS) = Field("fp16", description="how perturbed embeddings are stored: fp16 or int8")  # type: ignore[valid-type]
    carry: Literal["offset", "embedding"] = Field(
        "offset", description="what is mapped to the teacher: the perturbation, or (the paper's form) the embedding"
    )
    max_changes: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="share of the words of a text that token output may replace; at least one"
    )
    neighbours: Count = Field(
        30, description="words nearest to a word, or to the end of its climb, that may replace it"
    )
    candidates: Count = Field(
        3, description="new sentences that both models are asked about in a sweep of token output"
    )

    @model_validator(mode="after")
    def _ordered_bounds(self) -> MineConfig:
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds are [low, high] with low < high, got {list(self.bounds)}")
        if self.climbs > 1 and self.start == "sample":
            raise ValueError('climbs > 1 from start = "sample" would repeat one climb; take a random one, as "noise"')
        return self


class ExportConfig(Section):
    format: _named(registry.FORMATS) = Field("webdataset", description="webdataset or parquet")  # type: ignore[valid-type]
    shard_size: Count | Annotated[str, Field(pattern=_BYTES)] = Field(
        4096, description='samples in a shard, or bytes as "64MB"'
    )
    include_source: bool = Field(True, description="false: auxiliary samples only")
    split: str = Field("train", pattern=r"^[A-Za-z0-9_]+$", description="name of the split, and start of file names")

    @property
    def shard_bytes(self) -> float | None:
        """The size of a shard where it is given in bytes."""
        return in_bytes(self.shard_size) if isinstance(self.shard_size, str) else None


class TrainConfig(Section):
    loss: _named(registry.LOSSES) | None = Field(  # type: ignore[valid-type]
        None, description="kl, mse, dkd or js; when left out kl, for regression mse"
    )
    loss_options: Options = Field(default_factory=dict, description="dkd: alpha, beta")
    temperature: Positive = Field(4.0, description="of kl, dkd and js")
    alpha: Fraction = Field(0.9, description="weight of the teacher's outputs; 1 - alpha goes to known labels")
    steps: Count | None = Field(None, description="optimiser steps, the student's whole budget (3000 without epochs)")
    epochs: Positive | None = Field(None, description="the budget as passes over the data instead of steps")
    batch_size: Count = Field(128, description="samples in one optimiser step")
    source_fraction: Annotated[float, Field(gt=0, lt=1)] | Literal["natural"] = Field(
        0.5, description='share of source samples in a batch; "natural": as they come'
    )
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw or sgd (with Nesterov momentum)")
    lr: Positive = Field(1e-3, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled for adamw")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of sgd")
    schedule: Literal["constant", "cosine"] = Field("cosine", description="of the learning rate over the budget")
    warmup: Fraction = Field(0.02, description="share of the budget over which the rate rises from 0")
    freeze_embeddings: bool | None = Field(
        None,
        description="of a text model: leave the token embeddings as they are, as perturbed embeddings need it; when "
        "left out true, unless they are new",
    )
    init: Literal["continue", "fresh"] = Field("continue", description="from the last opponent, or new weights")
    checkpoint_every: Count = Field(100, description="steps between checkpoints; at most so many are lost")
    tensorboard: bool = Field(False, description="also write learning curves to tensorboard/ in output (extra)")
    memory_mb: Count = Field(
        2048, description="decoded samples held in memory at once; larger data is streamed, in windows of half of that"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, values: Any) -> Any:
        if isinstance(values, dict):
            if values.get("steps") is not None and values.get("epochs") is not None:
                raise ValueError("set steps or epochs, not both")
            if values.get("steps") is None and values.get("epochs") is None:
                return {**values, "steps": 3000}
        return values
