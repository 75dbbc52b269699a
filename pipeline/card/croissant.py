"""croissant.json: the data set in the words of MLCommons Croissant 1.1, which search engines and loaders read.

Of Parquet `mlcroissant` yields whole samples. Of tars it can join no more than two members of a sample, knows no
`.npy` and looks into no JSON within an archive: it yields inputs, labels and the JSON as record sets of their own, and
the other members are listed as files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from pipeline.card.facts import Facts
from pipeline.card.licenses import UNKNOWN
from pipeline.shards.rows import RowFormat
from pipeline.shards.webdataset import member_names
from schemas.manifest import FORMAT_VERSION, FileEntry

MAX_LISTED = 10_000
"""Shards that are listed one by one. Beyond, no reader takes such a file in; the manifest has their SHA-256."""

_METHOD = "https://arxiv.org/abs/2301.12006"
_CR, _SHARDS, _CLASSES = "http://mlcommons.org/croissant/", "shards", "classes"

_FORMATS = {"parquet": "application/x-parquet", "tar": "application/x-tar", "json": "application/json"}
_MEMBERS = {
    "png": ("image/png", "image", "sc:ImageObject"),
    "txt": ("text/plain", "text", "sc:Text"),
    "cls": ("text/plain", "label", "sc:Integer"),
    "json": ("application/json", "climb", "sc:Text"),
}
"""Of a tar's members that can be read: encoding, name of the record set and of its field, type."""

_TERMS = (
    "annotation arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet "
    "format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated "
    "replace samplingRate separator source subField transform value"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": _CR,
    "rai": f"{_CR}RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


def croissant(facts: Facts) -> str:
    """JSON-LD."""
    details, own = facts.details, facts.details.rows.kind
    origin = "" if facts.includes_source else "; the source's own samples are left out"
    listed = facts.shards if len(facts.shards) <= MAX_LISTED else []
    sets, records = _in_tars(facts, listed) if details.format == "webdataset" else _in_tables(facts)
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": f"{_CR}1.1",
        "name": re.sub(r"[^\w.-]+", "-", facts.name),
        "description": f"{facts.samples:,} samples ({own}) with the outputs of a teacher network, to distil it into a "
        f"smaller one: {details.counts.source:,} of a source, {details.counts.auxiliary:,} mined from it where teacher "
        f"and student disagree{origin}.",
        "license": facts.told("license") or UNKNOWN,
        "citeAs": facts.told("citation") or _METHOD,
        "url": facts.told("homepage") or _METHOD,
        "version": f"{FORMAT_VERSION}.0.0+{_digest(facts.files)}",
        "keywords": ["knowledge distillation", "bpkd"],
        "distribution": [*map(_file, [*listed, *facts.others]), *sets],
        "recordSet": [*_classes(facts.rows), *records],
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _digest(files: Iterable[FileEntry]) -> str:
    """What tells this data set from any other."""
    return hashlib.sha256("\n".join(file.sha256 for file in files).encode()).hexdigest()[:12]


def _file(entry: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": entry.path,
        "name": entry.path,
        "contentUrl": entry.path,
        "contentSize": f"{entry.bytes} B",
        "encodingFormat": _FORMATS.get(entry.path.rpartition(".")[2], "application/octet-stream"),
        "sha256": entry.sha256,
    }


def _file_set(name: str, encoding: str, includes: str, within: Iterable[FileEntry] = ()) -> dict[str, Any]:
    contained = [{"@id": entry.path} for entry in within]
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        **({"containedIn": contained} if contained else {}),
        "encodingFormat": encoding,
        "includes": includes,
    }


def _records(name: str, description: str, fields: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    key = {"key": {"@id": fields[0]["@id"]}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **key,
        "field": fields,
        **more,
    }


def _field(place: str, name: str, type_: str, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {} if source is None else {"source": source}
    return {"@type": "cr:Field", "@id": f"{place}/{name}", "name": name, "dataType": type_, **given, **more}


def _classes(rows: RowFormat) -> list[dict[str, Any]]:
    """The classes by index, where they have names."""
    if not rows.class_names:
        return []
    fields = [_field(_CLASSES, "index", "sc:Integer"), _field(_CLASSES, "name", "sc:Text")]
    data = [{f"{_CLASSES}/index": index, f"{_CLASSES}/name": name} for index, name in enumerate(rows.class_names)]
    return [_records(_CLASSES, "The classes.", fields, dataType="sc:Enumeration", data=data)]


def _in_tables(facts: Facts) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """File sets and record sets of Parquet."""
    fields = [_column(field, facts.rows) for field in facts.rows.schema]
    return [_file_set(_SHARDS, _FORMATS["parquet"], facts.pattern)], [_records("samples", "All samples.", fields)]


def _column(field: pa.Field, rows: RowFormat) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _SHARDS}, "extract": {"column": field.name}}
    if field.name == rows.kind_.column and rows.kind == "image":
        return _field("samples", field.name, "sc:ImageObject", {**source, "transform": {"jsonPath": "bytes"}})
    if pa.types.is_struct(field.type):
        inner = [
            _field(f"samples/{field.name}", part.name, type_, {**source, "transform": {"jsonPath": part.name}}, **shape)
            for part in field.type
            for type_, shape in [_type(part.type)]
        ]
        return {"@type": "cr:Field", "@id": f"samples/{field.name}", "name": field.name, "subField": inner}
    type_, shape = _type(field.type)
    known = (
        {"references": {"field": {"@id": f"{_CLASSES}/index"}}} if field.name == "label" and rows.class_names else {}
    )
    return _field("samples", field.name, type_, source, **shape, **known)


def _type(arrow: pa.DataType) -> tuple[str, dict[str, Any]]:
    """Croissant's name for a type, and the shape where it is a list."""
    sizes = []
    while pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow):
        sizes.append(arrow.list_size if pa.types.is_fixed_size_list(arrow) else -1)
        arrow = arrow.value_type
    name = "Float" if pa.types.is_floating(arrow) else "Integer" if pa.types.is_integer(arrow) else "Text"
    return f"sc:{name}", {"isArray": True, "arrayShape": ", ".join(map(str, sizes))} if sizes else {}


def _in_tars(facts: Facts, shards: list[FileEntry]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """File sets and record sets of tars, for each extension one; of the tars alone where they are not listed."""
    if not shards:
        return [_file_set(_SHARDS, _FORMATS["tar"], facts.pattern)], []
    sets, records = [], []
    for extension in member_names(facts.rows):
        encoding, name, type_ = _MEMBERS.get(extension, ("application/octet-stream", "", ""))
        if extension == "pair.txt":  # *.txt are both texts of a pair
            continue
        sets.append(_file_set(extension, encoding, f"*.{extension}", shards))
        if name:
            # A key has no dot; the second text of a pair has `.pair` after it.
            named = {"fileProperty": "filename"}, {"regex": rf"^([^.]+(?:\.pair)?)\.{extension}$"}
            key = {"fileSet": {"@id": extension}, "extract": named[0], "transform": named[1]}
            content = {"fileSet": {"@id": extension}, "extract": {"fileProperty": "content"}}
            fields = [_field(f"{name}s", "key", "sc:Text", key), _field(f"{name}s", name, type_, content)]
            records.append(_records(f"{name}s", f"KEY.{extension} of all samples.", fields))
    return sets, records
