"""Derived randomness: every random draw comes from (run seed, purpose, round, shard), never from time or order."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from pipeline.lazy import torch


def derive_seed(seed: int, *parts: str | int) -> int:
    """A 63-bit seed that depends on all of `seed` and `parts`, the same on every machine."""
    digest = hashlib.sha256(json.dumps([seed, *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(seed: int, *parts: str | int) -> torch.Generator:
    """A CPU generator, so that the draws do not depend on the device."""
    return torch.Generator().manual_seed(derive_seed(seed, *parts))


def numpy_generator(seed: int, *parts: str | int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, *parts))
