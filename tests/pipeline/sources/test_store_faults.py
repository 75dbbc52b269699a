"""A store that fails for a while is no damage: reading goes on, or ends as a failure of the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.models.weights import read_weights
from pipeline.sources import open_samples
from pipeline.storage import read_file
from schemas.config import Config
from schemas.errors import BpkdError, UserError

FORMATS = ["parquet", "webdataset", "folder", "csv", "jsonl", "numpy"]


def everything(config: Config) -> tuple[list[str], Any, dict[str, Any]]:
    """All that is read of a source: keys, samples, fingerprint."""
    samples = open_samples(config)
    samples.check_keys()
    blocks = [samples.read(chunk) for chunk in samples.chunks]
    assert not any(block.failures for block in blocks)
    keys = [key for block in blocks for key in block.keys]
    return keys, np.concatenate([block.stored for block in blocks]).tolist(), samples.fingerprint()


@pytest.fixture(params=FORMATS)
def source(
    request: pytest.FixtureRequest, s3: Any, local: Any, config: Callable[..., Config], write_images: Callable[..., str]
) -> Config:
    bucket = type(local)(s3.url)
    return config(kind="image", train=write_images(bucket, request.param), shard_size=2)


def test_faults_that_pass_are_not_noticed(s3: Any, source: Config) -> None:
    expected = everything(source)
    s3.fail(503, "reset", "cut", when=lambda number, request: number % 3 == 1)
    assert everything(source) == expected and s3.failed > 1


def test_a_store_that_goes_down_is_not_taken_for_damage(s3: Any, source: Config) -> None:
    expected, before = everything(source), len(s3.requests)
    everything(source)
    total = len(s3.requests) - before
    for first in range(total):
        s3.fail(503, when=lambda number, request, first=first: number >= first)
        with pytest.raises(BpkdError, match="HTTP 503") as raised:
            everything(source)
        assert not isinstance(raised.value, UserError), raised.value
    s3.heal()
    assert total > 3 and everything(source) == expected


def test_the_same_for_weights(s3: Any) -> None:
    for url, message in ((f"{s3.url}/gone.pt", "no such weights file"), (s3.url + "x/a.pt", "no such bucket")):
        with pytest.raises(UserError, match=message):
            read_weights(url)
    s3.fail(503)
    with pytest.raises(BpkdError, match="HTTP 503") as raised:
        read_weights(f"{s3.url}/gone.pt")
    assert not isinstance(raised.value, UserError)


def test_no_such_bucket_is_the_users_mistake(s3: Any, config: Callable[..., Config]) -> None:
    missing = "no-such-bucket"
    for name in ("a.parquet", "f", "*.tar"):
        with pytest.raises(UserError, match=rf"data.train: s3://{missing}/{re.escape(name)}: no such bucket"):
            open_samples(config(kind="image", train=f"s3://{missing}/{name}"))
    with pytest.raises(UserError, match="no such bucket"):
        read_file(f"s3://{missing}/a.png")
