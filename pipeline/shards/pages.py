"""What the pages of a Parquet file say of themselves, read before any of them is decompressed.

The reader of Arrow allocates what a page's own header says, and believes the footer otherwise. A footer may lie; these
headers are what it goes by, so their sums bound its memory. Arrow shows no page headers, hence the few lines of
Thrift's compact protocol here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

import pyarrow.parquet as pq

_WINDOW = 2**16
"""Bytes that hold any page's header; statistics in it are cut at 4 KiB by those who write them."""

_DEPTH = 4

# Parquet's numbers for types of pages, with the field of the header that describes each and that of its encoding.
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
_DESCRIBED = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}

_ENCODINGS = frozenset({0, 2, 3, 4, 5, 6, 8, 9})
"""All but DELTA_BYTE_ARRAY, in which a few bytes stand for long strings."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Of a whole file: bytes of all pages once decompressed, values in them, bytes of the largest dictionary."""

    size: int
    values: int
    dictionary: int


def measure_pages(file: IO[bytes], metadata: pq.FileMetaData) -> Pages:
    """Add up every page's header.

    Raises:
        ValueError: damaged, or of an encoding that is not read.
    """
    size = values = dictionary = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            counted = 0
            for type_, bytes_, count in _headers(file, chunk):
                size += bytes_
                counted += count if type_ != _DICTIONARY else 0
                dictionary = max(dictionary, bytes_ if type_ == _DICTIONARY else 0)
            if counted != chunk.num_values:
                raise ValueError(
                    f"{counted} values in the pages of {chunk.path_in_schema!r}, {chunk.num_values} promised"
                )
            values = max(values, counted)
    return Pages(size, values, dictionary)


def _headers(file: IO[bytes], chunk: pq.ColumnChunkMetaData) -> Any:
    """(type, bytes once decompressed, values) of every page of a column chunk."""
    position = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < position:
        position = chunk.dictionary_page_offset
    end = position + chunk.total_compressed_size
    while position < end:
        file.seek(position)
        header, length = _struct(file.read(_WINDOW), 0, _DEPTH)
        type_, unpacked, packed = header[1], header[2], header[3]
        if min(unpacked, packed) < 0:
            raise ValueError(f"a page of {min(unpacked, packed)} bytes")
        position += length + packed
        if type_ == _INDEX:
            continue
        field, encoding = _DESCRIBED[type_]
        if header[field][encoding] not in _ENCODINGS:
            raise ValueError(f"encoding {header[field][encoding]} of {chunk.path_in_schema!r} is not read")
        if header[field][1] < 0:
            raise ValueError(f"a page of {header[field][1]} values")
        yield type_, max(unpacked, packed), header[field][1]
    if position != end:
        raise ValueError(f"the pages of {chunk.path_in_schema!r} do not end where they should")


def _struct(data: bytes, position: int, depth: int) -> tuple[dict[int, Any], int]:
    """Fields of a Thrift struct, number -> value (integers and structs; None for others), and where it ends."""
    if not depth:
        raise ValueError("a page's header is nested too deep")
    fields: dict[int, Any] = {}
    number = 0
    while type_ := data[position] & 15:
        step = data[position] >> 4
        position += 1
        if step:
            number += step
        else:
            number, position = _integer(data, position)
        fields[number], position = _value(data, position, type_, depth)
    return fields, position + 1


def _value(data: bytes, position: int, type_: int, depth: int) -> tuple[Any, int]:
    if type_ in (1, 2):  # true and false, which have no bytes of their own
        return None, position
    if type_ == 3:
        return None, position + 1
    if type_ in (4, 5, 6):
        return _integer(data, position)
    if type_ == 7:
        return None, position + 8
    if type_ == 8:
        length, position = _varint(data, position)
        return None, position + length
    if type_ == 12:
        return _struct(data, position, depth - 1)
    raise ValueError(f"a page's header has a field of type {type_}, which none has")


def _integer(data: bytes, position: int) -> tuple[int, int]:
    """A signed number in zigzag form."""
    value, position = _varint(data, position)
    return (value >> 1) ^ -(value & 1), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    # No number in these headers needs more than 32 bits, and Arrow would cut one that has more.
    while shift < 35:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128 and value < 2**32:
            return value, position
        shift += 7
    raise ValueError("a page's header has a number of more than 32 bits")
