"""Our tars against the standard library's."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.tar import read_tar, write_tar

names = st.text(st.sampled_from("abcXYZ019_-+.é"), min_size=1, max_size=150).filter(lambda name: name.strip("."))
files = st.lists(st.tuples(names, st.binary(max_size=1200)), max_size=6)


def standard(files: list[tuple[str, bytes]], **options) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", **options) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return sink.getvalue()


@given(files)
def test_the_standard_library_reads_what_we_write(files):
    data = write_tar(files)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members = tar.getmembers()
        assert [(m.name, tar.extractfile(m).read()) for m in members] == files
    assert all(m.isreg() and (m.mtime, m.uid, m.mode, m.uname) == (0, 0, 0o444, "bpkd") for m in members)
    assert len(data) % 10240 == 0
    assert list(read_tar(data)) == files


@given(files)
def test_we_read_what_the_standard_library_writes(files):
    assert list(read_tar(standard(files, format=tarfile.GNU_FORMAT))) == files


def test_headers_are_those_of_the_standard_library():
    content = bytes(range(200))
    with tarfile.open(fileobj=io.BytesIO(write_tar([("a.png", content)])), mode="r:") as tar:
        (member,) = tar.getmembers()
    assert write_tar([("a.png", content)])[:512] == member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("cut", [1, 100, 512, 700, 1024, 1500, 2047, 2048])
def test_a_cut_tar_is_refused(cut):
    data = write_tar([("a", b"x" * 600), ("b", b"y")])
    with pytest.raises(ValueError, match="byte"):
        list(read_tar(data[:cut]))


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_damaged_header_is_refused(position, change):
    data = bytearray(write_tar([("a", b"x")]))
    data[position] ^= change
    try:
        found = list(read_tar(bytes(data)))
    except ValueError:
        return
    # The checksum's own padding carries no meaning.
    assert position in (154, 155) and found == [("a", b"x")]


def test_links_are_refused():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        member = tarfile.TarInfo("a")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(ValueError, match="'a' is not a plain file"):
        list(read_tar(sink.getvalue()))
