"""Load a model from its spec, wrap it, check it, save it; and a few reference nets."""

from pipeline.models.factory import build_model
from pipeline.models.load import Role, check_outputs, compatible, freeze, frozen, load_model, pick_device
from pipeline.models.weights import count_parameters, fit_weights, read_weights, weights_bytes, weights_sha256
from pipeline.models.wrapper import Wrapped, unwrap

__all__ = [
    "Role",
    "Wrapped",
    "build_model",
    "check_outputs",
    "compatible",
    "count_parameters",
    "fit_weights",
    "freeze",
    "frozen",
    "load_model",
    "pick_device",
    "read_weights",
    "unwrap",
    "weights_bytes",
    "weights_sha256",
]
