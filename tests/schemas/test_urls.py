"""Nothing that lets a reader in is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.urls import shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sftp://user:secret@host/a@b", "sftp://***@host/a@b"),
        ("s3://KEY:SECRET@bucket/x: no such file", "s3://***@bucket/x: no such file"),
        ("s3://KEY:a/b+c/d@bucket/x and s3://other/y", "s3://***@bucket/x and s3://other/y"),
        ("abfs://container@account.dfs.core.windows.net/run", "abfs://container@account.dfs.core.windows.net/run"),
        ("https://h/x?X-Amz-Credential=k&versionId=3&X-Amz-Signature=s", "https://h/x?X-Amz-Credential=***&versionId=3&X-Amz-Signature=***"),
        ("https://h/x.csv?sv=1&sig=ab%2Fc", "https://h/x.csv?sv=1&sig=***"),
        ("cannot read 'https://h/x?access_token=t'", "cannot read 'https://h/x?access_token=***'"),
        ("simplecache::ftp://u:p@h/x and ftp://v:q@h/y", "simplecache::ftp://***@h/x and ftp://***@h/y"),
        ("s3://bucket/a@b/c?x=1", "s3://bucket/a@b/c?x=1"),
        ("/data/a b@c.png", "/data/a b@c.png"),
    ],
)  # fmt: skip
def test_masked(text: str, masked: str) -> None:
    assert shown(text) == masked


@given(st.text("abcXYZ019%._~!$*+,;=:@-", min_size=4))
def test_whatever_the_password(password: str) -> None:
    url = shown(f"sftp://me:{password}@host/path")
    assert url == "sftp://***@host/path"
