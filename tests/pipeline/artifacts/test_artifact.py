from __future__ import annotations

import json

import pytest

from pipeline.artifacts.artifact import Artifact, discard, read_manifest
from pipeline.artifacts.failures import retry_failed_units
from pipeline.storage import Folder, sha256
from schemas.errors import BpkdError, UserError
from schemas.manifest import FailedSample

FINGERPRINT = {"teacher": {"sha256": "aa"}, "seed": 0}
UNITS = ["u0", "u1", "u2"]


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    url = f"{tmp_path}/artifact" if request.param == "file" else f"memory://{tmp_path.name}/artifact"
    yield url
    Folder(url).remove()


def make(artifact: Artifact, units: int = 3, broken: bool = True) -> list[str]:
    """Make units that are not there; u1 has a failed sample if `broken`. Returns what was made."""
    made = [unit for unit in UNITS[:units] if not artifact.done(unit)]
    for unit in made:
        entry = artifact.write(f"{unit}.bin", unit.encode() + b"+" * broken, samples=int(unit[1:]))
        failures = [FailedSample(key=f"k-{unit}", stage="read", reason="broken")] if broken and unit == "u1" else []
        artifact.commit(unit, [entry], failures, {"of": unit})
    return made


def opened(url: str, **options) -> Artifact:
    return Artifact(url, "thing", FINGERPRINT, **options)


def begin(url: str, units: int = 3) -> None:
    with opened(url) as artifact:
        make(artifact, units)


def finish(url: str, broken: bool = True) -> None:
    with opened(url) as artifact:
        make(artifact, broken=broken)
        artifact.finish(UNITS, {"note": 1})


def contents(url: str) -> dict[str, bytes]:
    folder = Folder(url)
    return {name: folder.read(name) for name in folder.find()}


def test_manifest_lists_every_file_with_size_hash_and_failures(url):
    finish(url)
    manifest = read_manifest(url, "thing")
    assert [file.path for file in manifest.files] == ["u0.bin", "u1.bin", "u2.bin", "failures.jsonl", "units.jsonl"]
    assert manifest.samples == 3 and manifest.failures == 1 and manifest.details == {"note": 1}
    assert json.loads(Folder(url).read("failures.jsonl")) == {
        "key": "k-u1",
        "stage": "read",
        "reason": "broken",
        "file": "",
        "unit": "u1",
    }
    assert set(contents(url)) == {file.path for file in manifest.files} | {"manifest.json"}
    with opened(url) as artifact:
        assert artifact.manifest == manifest


def test_taking_up_unfinished_work_gives_the_same_bytes(url, tmp_path):
    begin(url, units=2)
    with opened(url) as resumed:
        assert make(resumed) == ["u2"]
        resumed.finish(UNITS, {"note": 1})
    finish(f"{tmp_path}/whole")
    assert contents(url) == contents(f"{tmp_path}/whole")


@pytest.mark.parametrize("finished", [True, False])
def test_another_fingerprint_is_refused_and_named(url, finished):
    finish(url) if finished else begin(url)
    before = contents(url)
    with (
        pytest.raises(UserError, match=r'the teacher\'s weights = "aa", now it is "bb".*--restart'),
        Artifact(url, "thing", {**FINGERPRINT, "teacher": {"sha256": "bb"}}),
    ):
        pass
    assert contents(url) == before
    with Artifact(url, "thing", {"seed": 1}, restart=True) as anew:
        assert anew.manifest is None and not anew.done("u0")


def test_without_a_manifest_it_does_not_exist(url):
    with pytest.raises(UserError, match=r"does not exist; make it with `bpkd cache CONFIG`"):
        read_manifest(url, "cache CONFIG")
    begin(url)
    with pytest.raises(UserError, match=r"is not finished"):
        read_manifest(url, "cache CONFIG")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "bpkd", "version": 2}'])
def test_a_manifest_that_is_none_is_refused_in_one_line(url, text):
    Folder(url).write("manifest.json", text.encode())
    with pytest.raises(UserError, match=r"manifest.json: ") as caught:
        read_manifest(url, "export CONFIG")
    assert "\n" not in str(caught.value)


def test_state_of_unfinished_work_goes_with_the_finish(url):
    with opened(url) as artifact:
        artifact.save_state("checkpoint", b"abc")
    with opened(url) as artifact:
        assert artifact.load_state("checkpoint") == b"abc"
        make(artifact)
        artifact.finish(UNITS)
        assert artifact.load_state("checkpoint") is None


def test_a_second_maker_is_refused_until_the_first_is_done(url):
    with opened(url) as artifact:
        make(artifact, 1)
        for second in (lambda: opened(url).__enter__(), lambda: opened(url, restart=True).__enter__()):
            with pytest.raises(BpkdError, match=r"is being made by process \d+ on .*; wait until it is done"):
                second()
        with pytest.raises(BpkdError, match="is being made"):
            discard(url, "thing")
        assert artifact.folder.exists("u0.bin")
    with opened(url) as artifact:
        assert make(artifact) == ["u1", "u2"]


@pytest.mark.parametrize("error", [UserError("wrong"), KeyboardInterrupt()])
def test_who_stops_leaves_the_artifact_to_others(url, error):
    def stop() -> None:
        with opened(url) as artifact:
            make(artifact, 2)
            raise error

    with pytest.raises(type(error)):
        stop()
    with opened(url) as artifact:
        assert make(artifact) == ["u2"]


def test_who_writes_nothing_leaves_nothing(tmp_path):
    with pytest.raises(UserError), opened(f"{tmp_path}/artifact"):
        raise UserError("wrong")
    assert list(tmp_path.iterdir()) == []


def test_what_is_abandoned_leaves_the_place_to_anything_else(url):
    with opened(url) as artifact:
        artifact.abandon()  # of nothing
        make(artifact, units=2)
        artifact.write("shard-00000.parquet", b"not committed")
        artifact.abandon()
    assert contents(url) == {}
    with Artifact(url, "thing", {"of": "something else"}) as other:
        assert make(other) == UNITS
        other.finish(UNITS)


@pytest.mark.parametrize("finished", [True, False])
def test_failed_units_are_made_again_on_request_and_no_others(url, tmp_path, finished):
    finish(url) if finished else begin(url)
    with opened(url) as artifact:
        assert (artifact.manifest is not None) == finished and make(artifact, 0) == []
    with opened(url, retry=retry_failed_units) as artifact:
        assert artifact.manifest is None
        assert make(artifact, broken=False) == ["u1"]
        manifest = artifact.finish(UNITS, {"note": 1})
    assert manifest.failures == 0
    assert contents(url)["u1.bin"] == b"u1" and contents(url)["u0.bin"] == b"u0+"
    assert set(contents(url)) == {"u0.bin", "u1.bin", "u2.bin", "manifest.json"}


def test_what_fails_again_leaves_the_same_bytes(url):
    finish(url)
    before = contents(url)
    with opened(url, retry=retry_failed_units) as artifact:
        make(artifact)
        artifact.finish(UNITS, {"note": 1})
    assert contents(url) == before


def test_without_failures_nothing_is_made_again(url):
    finish(url, broken=False)
    with opened(url, retry=retry_failed_units) as artifact:
        assert artifact.manifest is not None


def stop_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop at a write or removal, as a kill would."""
    left = writes

    def counted(real):
        def call(folder, name="", *data):
            nonlocal left
            if name != "_progress/lock.json":
                left -= 1
                if left < 0:
                    raise SystemExit
            return real(folder, name, *data)

        return call

    monkeypatch.setattr(Folder, "write", counted(Folder.write))
    monkeypatch.setattr(Folder, "remove", counted(Folder.remove))


@pytest.mark.parametrize("change", ["retry", "restart"])
def test_retry_and_restart_can_be_broken_off_anywhere(url, tmp_path, monkeypatch, change):
    whole, options = f"{tmp_path}/whole", {"retry": retry_failed_units} if change == "retry" else {"restart": True}
    finish(whole)
    with opened(whole, **options) as artifact:
        make(artifact, broken=False)
        artifact.finish(UNITS, {"note": 1})
    for writes in range(100):
        Folder(url).remove()
        finish(url)
        try:
            with monkeypatch.context() as patch:
                stop_after(writes, patch)
                with opened(url, **options) as artifact:
                    make(artifact, broken=False)
                    artifact.finish(UNITS, {"note": 1})
        except SystemExit:
            with opened(url) as artifact:
                listed = artifact.manifest.files if artifact.manifest else []
            assert all(sha256(contents(url)[file.path]) == file.sha256 for file in listed)
            with opened(url, **options) as artifact:
                if artifact.manifest is None:
                    make(artifact, broken=False)
                    artifact.finish(UNITS, {"note": 1})
        else:
            break
        assert contents(url) == contents(whole), f"broken off after {writes} writes"
    assert 10 < writes < 99


@pytest.mark.parametrize("finished", [True, False])
def test_a_restart_leaves_what_the_artifact_did_not_make(url, finished):
    finish(url) if finished else begin(url)
    Folder(url).write("notes.txt", b"mine")
    Folder(url).write(".git/HEAD", b"mine")
    Folder(url).write("u9.bin.0123456789ab.tmp", b"of a writer that was killed")
    with opened(url, restart=True) as artifact:
        assert artifact.manifest is None and not artifact.done("u0")
        assert [name for name in artifact.folder.find() if "_progress" not in name] == [".git/HEAD", "notes.txt"]
        make(artifact)
        artifact.finish(UNITS)
    assert {".git/HEAD", "notes.txt"} < set(contents(url))
    discard(url, "thing")
    assert list(contents(url)) == [".git/HEAD", "notes.txt"]


def mended(found, wanted, failed):
    """A retry after what the units were made from has been mended."""
    return {**found, "seed": wanted["seed"]}, set(failed)


@pytest.mark.parametrize("finished", [True, False])
def test_a_retry_from_something_mended_can_be_broken_off_anywhere(url, tmp_path, monkeypatch, finished):
    def new(place: str) -> Artifact:
        return Artifact(place, "thing", {**FINGERPRINT, "seed": 1}, retry=mended)

    def complete(place: str) -> None:
        with new(place) as artifact:
            if artifact.manifest is None:
                make(artifact, broken=False)
                artifact.finish(UNITS)

    for writes in range(100):
        Folder(url).remove()
        finish(url) if finished else begin(url)
        try:
            with monkeypatch.context() as patch:
                stop_after(writes, patch)
                complete(url)
        except SystemExit:
            complete(url)
        else:
            break
        assert contents(url)["u1.bin"] == b"u1" and contents(url)["u0.bin"] == b"u0+", f"after {writes} writes"
        assert read_manifest(url, "thing").fingerprint["seed"] == 1
    assert 8 < writes < 99
