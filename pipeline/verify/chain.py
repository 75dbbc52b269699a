"""Whether the artifacts of a run were made from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import layout
from pipeline.artifacts.identity import identity
from pipeline.verify.verdict import Findings
from schemas.manifest import MANIFEST, Manifest


def check_chain(manifests: Mapping[str, Manifest], found: Findings) -> None:
    """Compare what each artifact remembers of its inputs with the artifacts that are there.

    Args:
        manifests: of a run's artifacts, by their place in it with a slash at the end. What is not there is not
            missed: an input may lie elsewhere, or have been removed since.
        found: takes the problems.
    """
    for place, what in broken_links(manifests):
        found.add(f"{place}{MANIFEST}", None, what)


def broken_links(manifests: Mapping[str, Manifest]) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of every artifact that was made from something else than what is there now."""
    for place, input_, remembered, there in _links(manifests):
        if remembered != there:
            yield place, f"was made from another {input_.rstrip('/')} than the one in this run"


def _links(manifests: Mapping[str, Manifest]) -> Iterator[tuple[str, str, Any, Any]]:
    """(artifact, input, what the artifact remembers of it, what the input is)."""
    whole = {place: identity(manifest) for place, manifest in manifests.items()}
    files = {place: known["files"] for place, known in whole.items()}
    for place, manifest in manifests.items():
        made = manifest.fingerprint
        if "teacher-logits/" in whole and "cache" in made:
            yield place, "teacher-logits/", made["cache"], whole["teacher-logits/"]
        if "embeddings/" in whole and "embeddings" in made:
            yield place, "embeddings/", made["embeddings"], whole["embeddings/"]
        if (match := layout.ARTIFACT.fullmatch(place)) and match["round"]:
            yield from _earlier(place, int(match["round"]), made, files)
            opponent = manifests.get(place.replace("auxiliary", "opponent"))
            if match["kind"] == "auxiliary" and opponent is not None:
                weights = [file.sha256 for file in opponent.files if file.path == "model.safetensors"]
                yield place, place.replace("auxiliary", "opponent"), [made.get("opponent")], weights
        for input_, key in (("dataset/", "dataset"), ("student/", "training")):
            if input_ in files and key in made:
                yield place, input_, made[key], files[input_]
        if place == "dataset/":
            rounds = made.get("rounds")
            for number, remembered in enumerate(rounds if isinstance(rounds, list) else (), 1):
                input_ = f"{layout.place_in(number, 'auxiliary')}/"
                if input_ in whole:
                    yield place, input_, remembered, whole[input_]


def _earlier(
    place: str, round_: int, made: Mapping[str, Any], files: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    remembered = made.get("earlier")
    if not isinstance(remembered, list) or len(remembered) != round_ - 1:
        yield place, "number of rounds", remembered, None
        return
    for number, known in enumerate(remembered, 1):
        input_ = f"{layout.place_in(number, 'auxiliary')}/"
        if input_ in files:
            yield place, input_, known, files[input_]
