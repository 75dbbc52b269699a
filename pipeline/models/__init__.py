"""Load a model from its spec, wrap it, check it, save it; and a few reference nets."""

from pipeline.models.base import AnyModel, unwrap
from pipeline.models.factory import build_model
from pipeline.models.load import Role, check_outputs, compatible, freeze, frozen, load_model, pick_device
from pipeline.models.prepared import prepare
from pipeline.models.text import TextModel
from pipeline.models.tokenizers import load_tokenizer
from pipeline.models.weights import count_parameters, fit_weights, read_weights, weights_bytes, weights_sha256
from pipeline.models.wrapper import Wrapped

__all__ = [
    "AnyModel",
    "Role",
    "TextModel",
    "Wrapped",
    "build_model",
    "check_outputs",
    "compatible",
    "count_parameters",
    "fit_weights",
    "freeze",
    "frozen",
    "load_model",
    "load_tokenizer",
    "pick_device",
    "prepare",
    "read_weights",
    "unwrap",
    "weights_bytes",
    "weights_sha256",
]
