"""URLs as they may be shown: without what would let a reader of a log or a manifest in."""

from __future__ import annotations

import re

AZURE = r"(?:abfss?|az|wasbs?)://"
"""Of a URL whose part before an @ is a container, and no secret."""

_USER = re.compile(rf"(?<!\w)(?!{AZURE})(\w[\w+.-]*://)[^/\s]+@")
_S3_USER = re.compile(r"(\bs3a?://)[^\s/:@]*:\S*@")
"""A secret key of S3 may have slashes in it."""
_SECRET = re.compile(
    r"([?&;](?:[\w-]*(?:token|secret|signature|password|passwd|credential|key|auth)[\w-]*|sig|pwd)=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def shown(text: str) -> str:
    """`text`, a URL or a message with URLs in it, with user, password and the secrets of a query as `***`."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", _S3_USER.sub(r"\1***@", text)))
