"""The one place that touches files: directories and files at any fsspec URL, with writes that are whole or absent."""

from pipeline.storage.faults import UrlError
from pipeline.storage.files import file_fingerprint, open_file, read_file, sha256
from pipeline.storage.folder import Folder
from pipeline.storage.local import is_temporary
from schemas.urls import shown

__all__ = ["Folder", "UrlError", "file_fingerprint", "is_temporary", "open_file", "read_file", "sha256", "shown"]
