"""URLs as they may be shown: without what would let a reader of a log or a manifest in."""

from __future__ import annotations

import re

_USER = re.compile(r"(://)[^/\s]+@")
_SECRET = re.compile(
    r"([?&;](?:[\w-]*(?:token|secret|signature|password|passwd|credential|key|auth)[\w-]*|sig|pwd)=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def shown(text: str) -> str:
    """`text`, a URL or a message with URLs in it, with user, password and the secrets of a query as `***`."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", text))
