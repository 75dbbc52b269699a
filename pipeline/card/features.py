"""The features of a data set as the front matter of a card on the Hugging Face hub lists them."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import torch

from pipeline.shards.rows import RowFormat, Rows
from pipeline.shards.tar import read_tar
from pipeline.shards.webdataset import WebDatasetFormat

_STRING = {"_type": "Value", "dtype": "string"}
_KNOWN: dict[str, dict[str, Any]] = {"png": {"_type": "Image"}, "txt": _STRING}
_IN_JSON = {str: "string", int: "int64", float: "float64"}


def hub_features(rows: RowFormat, format: str) -> list[dict[str, Any]] | None:
    """What `datasets` finds in the shards, one entry a column; None where it is left to find out by itself."""
    features = in_table(rows) if format == "parquet" else in_tars(rows) if format == "webdataset" else None
    return None if features is None else [{"name": name, **_entry(feature)} for name, feature in features.items()]


def in_table(rows: RowFormat) -> dict[str, Any]:
    """Of the columns, as the Parquet files have them in their schema."""
    features: dict[str, Any] = json.loads(rows.schema.metadata[b"huggingface"])["info"]["features"]
    return features


def in_tars(rows: RowFormat) -> dict[str, Any] | None:
    """Of the members of a tar, by extension; without them `datasets` takes a class for a mere number."""
    features: dict[str, Any] = {}
    for name, content in read_tar(WebDatasetFormat().write(rows.encode(_blank(rows)), rows)):
        extension = name.partition(".")[2]
        feature = rows.labels_.feature if extension == "cls" else None
        feature = feature or _feature(extension.rpartition(".")[2], content)
        if feature is None:
            return None
        features[extension] = feature
    return {**features, "__key__": _STRING, "__url__": _STRING}


def _blank(rows: RowFormat) -> Rows:
    """One sample, whose files have the types of all."""
    labels = np.full((1, *rows.labels_.shape), -1, rows.labels_.dtype)
    logits = rows.codec_.compress(torch.zeros(1, rows.width), torch.Generator())
    return Rows(["blank"], rows.kind_.blank(rows.shape), labels, logits, np.array([True]))


def _feature(extension: str, content: bytes) -> dict[str, Any] | None:
    if extension == "npy":
        array = np.load(io.BytesIO(content), allow_pickle=False)
        feature: dict[str, Any] = {"_type": "Value", "dtype": array.dtype.name}
        for _ in range(array.ndim):
            feature = {"_type": "Sequence", "feature": feature, "length": -1}
        return feature
    if extension == "json":
        values = json.loads(content)
        return {name: {"_type": "Value", "dtype": _IN_JSON[type(value)]} for name, value in values.items()}
    return {"_type": "Value", "dtype": "int64"} if extension == "cls" else _KNOWN.get(extension)


def _entry(feature: dict[str, Any]) -> dict[str, Any]:
    """A feature in the words of the front matter."""
    kind = feature.get("_type")
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    if kind == "Sequence":
        inner = _entry(feature["feature"])
        length = {} if feature["length"] < 0 else {"length": feature["length"]}
        return {"sequence": inner["dtype"] if set(inner) == {"dtype"} else inner, **length}
    if isinstance(kind, str):
        return {"dtype": kind.lower()}
    return {"struct": [{"name": name, **_entry(inner)} for name, inner in feature.items()]}
