from __future__ import annotations

import pytest

from pipeline import demo
from pipeline.progress import Silent


def test_every_method_from_end_to_end(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(demo, "STEPS", 40)
    monkeypatch.setattr(demo, "EPOCHS", 8)
    taught = demo.prepare(tmp_path, Silent())
    outcomes = {outcome.method: outcome for outcome in demo.compare(tmp_path, Silent())}
    assert taught.accuracy > 0.9
    assert list(outcomes) == ["label-only", "plain KD", "KD + noise", "bpkd"]
    assert {outcome.weights for outcome in outcomes.values()} == {outcomes["bpkd"].weights}
    assert outcomes["bpkd"].weights < taught.weights / 5
    assert outcomes["plain KD"].stored == demo.SEEN and outcomes["bpkd"].stored == outcomes["KD + noise"].stored
    assert (tmp_path / "bpkd" / "dataset" / "manifest.json").exists()
    assert (tmp_path / "bpkd" / "config.toml").exists()
