"""A file is read whole or in blocks; what is not as the manifest promises is refused in the same words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.artifacts.promised import check_file, read_checked
from pipeline.storage import Folder
from schemas.errors import BpkdError
from schemas.manifest import FileEntry

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("look", [read_checked, check_file])
@pytest.mark.parametrize(
    ("there", "message"),
    [
        (None, "a is missing, though the manifest lists it"),
        (b"", "a has 0 bytes, the manifest promises 7"),
        (CONTENT + b"!", "a has 8 bytes, the manifest promises 7"),
        (b"CONTENT", "a is damaged: its sha256 is not the manifest's"),
    ],
)
def test_another_file(
    tmp_path: Path, look: Callable[[Folder, FileEntry], object], there: bytes | None, message: str
) -> None:
    if there is not None:
        (tmp_path / "a").write_bytes(there)
    with pytest.raises(BpkdError, match=message):
        look(Folder(str(tmp_path)), FileEntry(path="a", bytes=7, sha256=SHA256))


@pytest.mark.parametrize("content", [CONTENT, b""])
def test_the_promised_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    entry = FileEntry(path="a", bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    check_file(Folder(str(tmp_path)), entry)
    assert read_checked(Folder(str(tmp_path)), entry) == content
