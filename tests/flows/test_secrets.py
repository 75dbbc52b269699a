"""What Prefect's server gets to see of overrides; of errors: test_tracked.py, test_run.py."""

from __future__ import annotations

import traceback

import pytest

from flows.secrets import masked, shown_override
from schemas.errors import UserError


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ('teacher.kwargs={token="hf_x"}', "teacher.kwargs=***"),
        ('teacher.kwargs = {token="hf_x"}', "teacher.kwargs =***"),
        ("student.kwargs.anything=hf_x", "student.kwargs.anything=***"),
        ('student={factory="zoo:mlp", kwargs={anything="hf_x"}}', "student=***"),
        ("run.runner_options={address=tcp://host", "run.runner_options=***"),
        ("run.API_KEY=x", "run.API_KEY=***"),
        ("data.columns.passwd=x", "data.columns.passwd=***"),
        ('data.columns={credentials="x"}', "data.columns=***"),
        ("data.train=s3://me:hunter2@bucket/x", "data.train=s3://***@bucket/x"),
        ("data.columns.key=id", "data.columns.key=id"),
        ('data.columns={key="id"}', 'data.columns={key="id"}'),
        ("student.tokenizer=hf:words", "student.tokenizer=hf:words"),
        ("mine.output=token", "mine.output=token"),
        ("run.rounds=3", "run.rounds=3"),
    ],
)
def test_what_may_be_a_secret_is_masked(override: str, shown: str) -> None:
    assert shown_override(override) == shown
    assert shown_override(shown) == shown


class Told(Exception):
    """An error whose text is not that of its arguments, as of aiohttp and of another process's traceback."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_no_secret_stays_in_an_error_or_in_what_led_to_it(depth: int) -> None:
    secret = "hunter" + "2"  # tracebacks quote lines of code

    def fail(left: int) -> None:
        if not left:
            raise Told(f"403, url='https://me:{secret}@host/y'")
        try:
            fail(left - 1)
        except Exception as error:
            if left == 2:
                raise ValueError("meanwhile")  # noqa: B904
            raise UserError(f"s3://me:{secret}@bucket/x is gone") from error

    with pytest.raises((UserError, RuntimeError, ValueError)) as raised, masked():
        fail(depth)
    told = "".join(traceback.format_exception(raised.value))
    assert secret not in told
    assert "https://***@host/y" in told
