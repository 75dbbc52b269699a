"""Telling what an exception of a store means, without importing the libraries that may have raised it."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.urls import shown

_PASSING_STATUS = {408, 409, 425, 429}
_LASTING_STATUS = {501, 505}
_PASSING_CODES = {
    *("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded"),
    *("InternalError", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"),
    # The body was damaged on its way.
    *("IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"),
}
_PASSING_ERRNO = {
    *(errno.EBUSY, errno.EAGAIN, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EHOSTDOWN, getattr(errno, "EREMOTEIO", -1)),
}
_PASSING_CLASSES = {
    ("aiohttp", "ClientConnectionError"),
    ("aiohttp", "ClientPayloadError"),
    ("azure", "IncompleteReadError"),
    ("azure", "ServiceRequestError"),
    ("azure", "ServiceResponseError"),
    ("botocore", "ConnectionError"),
    ("botocore", "HTTPClientError"),
    ("botocore", "IncompleteReadError"),
    ("botocore", "ResponseParserError"),
    ("google", "TransportError"),
    ("httpx", "TransportError"),
    ("httpx2", "TransportError"),
    ("paramiko", "SSHException"),
    ("requests", "ChunkedEncodingError"),
    ("requests", "ConnectionError"),
    ("requests", "Timeout"),
    ("urllib3", "HTTPError"),
}
_LASTING_CLASSES = {
    # A broken connection by its base class, and the user's own wish.
    ("huggingface_hub", "OfflineModeIsEnabled"),
}
_CREDENTIAL_CLASSES = {
    ("azure", "ClientAuthenticationError"),
    ("botocore", "CredentialRetrievalError"),
    ("botocore", "NoAuthTokenError"),
    ("botocore", "NoCredentialsError"),
    ("botocore", "PartialCredentialsError"),
    ("botocore", "ProfileNotFound"),
    ("botocore", "SSOError"),
    ("botocore", "TokenRetrievalError"),
    ("google", "DefaultCredentialsError"),
    ("google", "RefreshError"),
    ("paramiko", "AuthenticationException"),
}
_CREDENTIAL_CODES = {
    *("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"),
}
_PASSING_TYPES = (ConnectionError, TimeoutError, socket.gaierror, http.client.HTTPException)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed in a moment."""
    if is_no_credentials(error) or any(_is_lasting(link) for link in _chain(error)):
        return False
    answer = _answer(error)
    if answer is None:
        return any(_passing(link) for link in _chain(error))
    passing = answer.status in _PASSING_STATUS or (answer.status >= 500 and answer.status not in _LASTING_STATUS)
    return passing or answer.code in _PASSING_CODES


def is_absent(error: BaseException) -> bool:
    """Whether there is no such file. That nobody could be asked is no answer: fsspec makes that of it for http."""
    absent = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
    return absent and not is_transient(error) and not any(_is_lasting(link) for link in _chain(error))


def is_denied(error: BaseException) -> bool:
    """Whether the store knows who asks, and refuses."""
    answer = _answer(error)
    return isinstance(error, PermissionError) if answer is None else answer.status in (401, 403)


def is_no_credentials(error: BaseException) -> bool:
    """Whether there are no credentials, or none that the store takes."""
    answer = _answer(error)
    if answer is not None:
        return answer.code in _CREDENTIAL_CODES
    return any(_is_one_of(link, _CREDENTIAL_CLASSES) for link in _chain(error))


def is_no_bucket(error: BaseException) -> bool:
    answer = _answer(error)
    return answer is not None and answer.code in ("NoSuchBucket", "ContainerNotFound")


def is_there_already(error: BaseException) -> bool:
    """Whether an exclusive write was refused; not every S3 server says it as AWS does, so not every client tells."""
    answer = _answer(error)
    return isinstance(error, FileExistsError) or (answer is not None and answer.status == 412)


def cause(error: BaseException) -> str:
    """What went wrong in one short line, without secrets."""
    answer = _answer(error)
    if answer is None and isinstance(error, FileNotFoundError):  # see `is_absent`
        error = next((link for link in _chain(error) if _passing(link) or _is_lasting(link)), error)
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    label = type(error).__name__
    if answer is not None:
        code = "" if answer.code.isdigit() else answer.code
        label, text = f"HTTP {answer.status} {code}".rstrip(), answer.message or text
    line = " ".join(f"{label}: {text}".split()).rstrip(": .")
    return shown(line)[:300]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, on purpose; what merely happened before does not count."""
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        yield link
        link = link.__cause__


def _passing(link: BaseException) -> bool:
    return _is_broken_connection(link) or (isinstance(link, OSError) and link.errno in _PASSING_ERRNO)


def _is_lasting(link: BaseException) -> bool:
    return isinstance(link, ssl.SSLCertVerificationError) or _is_one_of(link, _LASTING_CLASSES)


def _is_broken_connection(link: BaseException) -> bool:
    return isinstance(link, _PASSING_TYPES) or _is_one_of(link, _PASSING_CLASSES)


def _is_one_of(link: BaseException, classes: set[tuple[str, str]]) -> bool:
    return any((type_.__module__.partition(".")[0], type_.__name__) in classes for type_ in type(link).__mro__)


@dataclass(frozen=True)
class _Answer:
    """What a server answered: HTTP status, the store's own word for the error, its message."""

    status: int
    code: str = ""
    message: str = ""


def _answer(error: BaseException) -> _Answer | None:
    """None where the server did not answer, or not to the end."""
    for link in _chain(error):
        if _is_broken_connection(link):
            return None
        response: Any = getattr(link, "response", None)
        if isinstance(response, dict):  # botocore
            found = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return _Answer(status, str(found.get("Code", "")), str(found.get("Message", "")))
        for holder, name in ((link, "status"), (link, "status_code"), (link, "code"), (response, "status_code")):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 100 <= status < 600:  # aiohttp, azure, gcsfs and google, requests
                return _Answer(status, str(getattr(link, "error_code", None) or ""))
    return None
