"""Tars of plain files in memory: the GNU format, without owners or times, so that equal files are equal bytes.

The standard library's `tarfile` makes an object per member, which for small images costs more than their pixels do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

_BLOCK = 512
_RECORD = 20 * _BLOCK
_NAME, _SIZE, _CHECKSUM, _TYPE = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157)
_DIGITS = slice(124, 135)
_MAGIC, _REST = slice(257, 265), slice(345, 512)
_GNU, _EMPTY = b"ustar  \0", bytes(512 - 345)
_PLAIN, _LONG_NAME = b"0", b"L"
_LONGEST = 1024
_LONG = b"././@LongLink"


def write_tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The tar that holds (name, content) in this order."""
    pieces = [piece for name, content in files for piece in _member(name.encode(), content)]
    size = sum(map(len, pieces)) + 2 * _BLOCK
    pieces.append(bytes(2 * _BLOCK + -size % _RECORD))
    return b"".join(pieces)


def read_tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every member of a tar that `write_tar` wrote.

    Raises:
        ValueError: damaged, cut short, with members other than plain files, or with anything that another program
            could read differently.
    """
    position, long_name = 0, b""
    while any(block := data[position : position + _BLOCK]):
        size, type_ = _checked(block, position)
        start = position + _BLOCK
        if start + size > len(data):
            raise ValueError(f"cut short at byte {len(data)}")
        content = data[start : start + size]
        if type_ == _LONG_NAME:
            if long_name or not 1 < size <= _LONGEST:
                raise ValueError(f"no long name at byte {position}")
            long_name = content.rstrip(b"\0")
        else:
            name = (long_name or block[_NAME].rstrip(b"\0")).decode()
            if type_ != _PLAIN:
                raise ValueError(f"member {name!r} is not a plain file")
            yield name, content
            long_name = b""
        position = start + size + -size % _BLOCK
    if len(block) != _BLOCK or long_name:
        raise ValueError(f"cut short at byte {len(data)}")
    if data.count(0, position) != len(data) - position:
        raise ValueError(f"more after its end at byte {position}")


def _member(name: bytes, content: bytes) -> tuple[bytes, ...]:
    """Header and content, padded; a name that does not fit goes before it as a member of its own."""
    body = _header(name[_NAME], len(content), _PLAIN), content, bytes(-len(content) % _BLOCK)
    return body if len(name) <= 100 else (*_member_long(name + b"\0"), *body)


def _member_long(name: bytes) -> tuple[bytes, ...]:
    return _header(_LONG, len(name), _LONG_NAME), name, bytes(-len(name) % _BLOCK)


def _header(name: bytes, size: int, type_: bytes) -> bytes:
    before, after, total = _template(size, type_)
    return b"%s%s%06o\0 %s" % (name.ljust(100, b"\0"), before, total + sum(name), after)


@lru_cache(4096)
def _template(size: int, type_: bytes) -> tuple[bytes, bytes, int]:
    """What stands between the name and the checksum, what follows, and their sum with a blank checksum."""
    if size >= 8**11:
        raise ValueError(f"{size} bytes in one member, a tar takes less than 8 GiB")
    mode, owner, time = b"0000444\0", b"0000000\0", b"00000000000\0"
    before = mode + owner + owner + b"%011o\0" % size + time
    after = (type_ + bytes(100) + b"ustar  \0" + b"bpkd".ljust(32, b"\0") * 2).ljust(_BLOCK - 156, b"\0")
    return before, after, sum(before) + sum(after) + 8 * ord(" ")


def _checked(block: bytes, position: int) -> tuple[int, bytes]:
    """(size, type) of a member from its header at `position`."""
    if (plain := _plain_size(block)) is not None:
        return plain, _PLAIN
    size, type_ = block[_SIZE].rstrip(b"\0 "), block[_TYPE]
    try:
        # Only digits: a sign would lead back into the file, and large sizes in binary are none of ours.
        if len(block) != _BLOCK or int(block[_CHECKSUM].rstrip(b"\0 "), 8) != _checksum(block) or not size.isdigit():
            raise ValueError
        # Whatever is no plain file is refused by name, and is not ours in these fields either.
        if type_ == _PLAIN and (block[_MAGIC] != _GNU or block[_REST] != _EMPTY):
            raise ValueError
        return int(size, 8), type_
    except ValueError:
        raise ValueError(f"no tar header of the GNU format at byte {position}") from None


def _plain_size(block: bytes) -> int | None:
    """The size in a header that is to the byte what `write_tar` makes, which is cheaper to see than to add up."""
    try:
        size = int(block[_DIGITS], 8)
    except ValueError:
        return None
    return size if size >= 0 and block == _header(block[_NAME].rstrip(b"\0"), size, _PLAIN) else None


def _checksum(block: bytes) -> int:
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
