"""What Prefect's server gets to see of overrides; of errors: test_tracked.py, test_run.py."""

from __future__ import annotations

import pytest

from flows.secrets import shown_override


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
