"""The page: whole, small, the same every time, and nothing in it acts that is not its own."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shlex
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.main import main
from pipeline.datasets.pairs import PAIRS
from pipeline.report import history, write_report
from pipeline.report.figures import (
    Answer,
    Bin,
    ClassFigure,
    Curve,
    Evaluation,
    Figures,
    Gap,
    Measure,
    Pair,
    Shown,
    Stage,
)
from pipeline.report.page import render
from pipeline.report.pictures import picture
from pipeline.report.statistics import Interval
from pipeline.storage import Folder
from schemas.config import Config
from schemas.errors import UserError
from tests.pipeline.report.conftest import HOSTILE, perform

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Elements of a page: (name, attributes), text by element, and headings in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def text(self, name: str) -> str:
        return "".join(text for tag, text in self.texts if tag == name)


def read(run: Path | str, **given: Any) -> tuple[str, Page]:
    text = Path(write_report(str(run), **given).url).read_text()
    return text, Page(text)


def test_it_has_all_of_its_parts(run: Path, plain: Path) -> None:
    text, page = read(run, baseline=str(plain))
    assert len(text.encode()) < 5_000_000
    drawn = {attributes["data-plot"] for attributes in page.of("div") if "data-plot" in attributes}
    options = json.loads(next(text for tag, text in page.texts if tag == "script"))
    assert drawn == set(options) == {"headline", "losses", "gaps", "classes", "calibration", "times", "sizes"}
    assert all(options[name]["grid"]["right"] >= 60 for name in ("classes", "times", "sizes"))  # labels beside bars
    assert "run.rounds" in page.text("th") and "without auxiliary samples" in page.text("p")
    assert page.text("pre").count('"sha256"') > 3 and "[data]" in page.text("pre")
    for name in ("evaluation", "round-02/opponent"):
        assert json.loads((run / name / "manifest.json").read_bytes())["manifest_sha256"] in page.text("td")
    assert "This run has one student" not in page.text("p")


def test_what_makes_no_student_better_is_no_difference(run: Path, plain: Path) -> None:
    text = (plain / "config.toml").read_text()
    text = text.replace("[data]\n", '[data]\nlicense = "mit"\nhomepage = "https://a.org"\ncitation = "me"\n')
    (plain / "config.toml").write_text(text.replace("tensorboard = false", "tensorboard = true"))
    found = write_report(str(run), baseline=str(plain)).figures.baseline
    assert found and [key for key, *_ in found.differences] == ["run.rounds"]


def test_a_run_is_no_baseline_of_its_own(run: Path) -> None:
    with pytest.raises(UserError, match="is the run itself"):
        write_report(str(run), baseline=f"{run}/")


def test_without_a_baseline_it_says_how_to_make_one(run: Path) -> None:
    _, page = read(run)
    assert "This run has one student" in page.text("p")
    assert f"bpkd run {run}/config.toml --set run.rounds=0 --set run.output={run}-baseline" in page.text("pre")
    assert f"bpkd report {run} --baseline {run}-baseline" in page.text("pre")


def test_the_recipe_makes_a_fair_baseline(
    image_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = perform(image_config(run={"output": f"{tmp_path}/some run"}, train={"steps": None, "epochs": 2}))
    monkeypatch.chdir(run)
    recipe = next(text for tag, text in read(".")[1].texts if tag == "pre")
    first, second = (shlex.split(line)[1:] for line in recipe.splitlines())
    monkeypatch.chdir("/")
    assert main([*first, "--direct", "--quiet"]) == main([*second, "--quiet"]) == 0
    made = write_report(run, baseline=f"{run}-baseline")
    assert made.figures.baseline and made.figures.steps == made.figures.baseline.steps
    assert "that is not due to auxiliary samples alone" not in made.verdict
    text = Page(Path(made.url).read_text()).text("p")
    assert f"This run's student took {made.figures.steps} optimiser steps, the baseline's {made.figures.steps}." in text
    # The config alone would have given it fewer, as it has fewer samples.
    plain = perform(image_config(run={"output": f"{tmp_path}/plain", "rounds": 0}, train={"steps": None, "epochs": 2}))
    assert "optimiser steps, so that is not due to" in write_report(run, baseline=plain).verdict


def test_samples_that_failed_are_counted(image_config: Callable[..., Config], tmp_path: Path) -> None:
    config = image_config(
        run={"output": f"{tmp_path}/failed", "rounds": 1}, train={"optimizer": "sgd", "lr": 1e30, "warmup": 0}
    )
    run = perform(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = write_report(run)
    assert [cost.failures for cost in made.figures.costs if cost.name == "climb"] == [40]
    page = Page(Path(made.url).read_text())
    said = page.text("p")
    assert "Finished without an auxiliary sample: round-01/auxiliary. 40 samples failed" in said
    assert "No round is finished" not in said and "training diverged: 24 of its 24 answers" in said
    assert page.text("th").count("failed") == 2 and page.text("td").count("40") >= 2
    assert "nan" not in re.sub("[a-z]{4,}", "", said + page.text("td") + page.text("figcaption"))


def test_it_is_the_same_every_time(run: Path) -> None:
    assert read(run)[0] == read(run)[0]


def test_readers_and_keyboards_find_their_way(run: Path, number_run: str) -> None:
    for made in (run, number_run):
        _, page = read(made)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert page.of("html")[0]["lang"] == "en" and page.of("a")[0]["href"] == "#main"
        ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
        assert max(Counter(ids).values()) == 1
        for _, attributes in page.elements:
            for name in ("aria-labelledby", "href"):
                target = str(attributes.get(name, "")).removeprefix("#")
                assert target in ids or not target or target == "data:,"
        assert all(attributes.get("alt") for attributes in page.of("img"))
        assert all("scope" in attributes for attributes in page.of("th"))
        plots = [attributes for attributes in page.of("div") if "data-plot" in attributes]
        assert len(plots) == len(page.of("figcaption")) and all(plot["role"] == "img" for plot in plots)


def test_nothing_is_loaded_and_nothing_runs_but_its_own(run: Path) -> None:
    text, page = read(run)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), value
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in page.text("style") and "url(" not in page.text("style")
    (policy,) = (attributes["content"] for attributes in page.of("meta") if attributes.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and len(scripts) == 2
    for code in scripts:
        assert base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() in policy


def test_hostile_names_are_plain_text(run: Path) -> None:
    text, page = read(run)
    shown = page.text("th") + page.text("dd") + page.text("title")
    assert all(name in page.text("th") for name in HOSTILE) and "tiny </title>" in shown
    assert not [source for source in page.of("img") if source["src"] == "x"]
    assert text.count("<script") == text.count("</script>") == 3


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (["config.toml", "teacher-logits"], "round-01/opponent"),
        (["config.toml", "teacher-logits", "round-01"], "round-02/opponent"),
        (["teacher-logits"], "dataset"),
        (["config.toml", "teacher-logits", "round-01", "round-02", "dataset", "student"], "evaluation"),
    ],
)
def test_a_run_that_is_not_finished_shows_what_is_there(run: Path, tmp_path: Path, kept: list[str], said: str) -> None:
    for name in kept:
        copy = shutil.copytree if (run / name).is_dir() else shutil.copy
        (tmp_path / "part").mkdir(exist_ok=True)
        copy(run / name, tmp_path / "part" / name)
    made = write_report(f"{tmp_path}/part")
    page = Page(Path(made.url).read_text())
    assert made.figures.notes == [] and said in [stage.name for stage in made.figures.missing]
    assert "The run is not finished" in page.text("h2") and said in page.text("p")
    assert len(made.figures.gaps) == sum(name.startswith("round") for name in kept)


def test_samples_that_were_mined_anew_are_told_beside_the_student_of_the_old_ones(run: Path, plain: Path) -> None:
    shutil.rmtree(run / "student")
    shutil.copytree(plain / "student", run / "student")
    made = write_report(str(run))
    assert "student was made from another dataset than the one in this run" in made.figures.notes
    assert "student was made from another dataset" in Page(Path(made.url).read_text()).text("li")


def test_what_is_damaged_is_named_and_the_rest_is_shown(run: Path) -> None:
    (run / "student/metrics.parquet").write_bytes(b"PAR1")
    (run / "round-02/auxiliary/manifest.json").write_bytes(b"{")
    made = write_report(str(run))
    assert len(made.figures.notes) == 2 and "metrics.parquet" in "".join(made.figures.notes)
    assert made.figures.evaluation is not None and len(made.figures.gaps) == 1
    page = Page(Path(made.url).read_text())
    assert "round-02/auxiliary/manifest.json" in page.text("li")


def test_it_stays_small_however_large_the_run_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 500, 500), np.uint8)
    image = picture(noise)
    sure = Interval(0.5, 0.4, 0.6)
    rounds, name = 1000, "x" * 80
    made_from = {"files": {f"{name}{i}": {"sha256": "0" * 64} for i in range(900)}}
    files = [("f" * 60, 1, "0" * 64)] * 900
    stages = [
        Stage(f"round-{n:04d}/{kind}", kind, "mine", "finished", 9, 900, 9, 0, 1.0, "0" * 64, files, made_from)
        for n in range(rounds)
        for kind in ("opponent", "auxiliary")
    ]
    shown = Shown("k" * 250, [("teacher", Answer(name))], image, (500, 500), words=[[("w" * 200, True)] * 120])
    evaluation = Evaluation(
        "classification", 9, True, [Measure("accuracy", True, "higher", 9, sure)], {},
        [ClassFigure(name, 9, sure) for _ in range(20_000)], [Bin(0, 1, 9, 0.5, sure)] * 15, 0.1, [],
    )  # fmt: skip
    figures = Figures(
        "n", "u", "1", "image", rounds, "c" * 2**22, stages, [],
        [Curve(str(n), list(range(history.FEWEST + 1)), [0.123456789] * (history.FEWEST + 1)) for n in range(rounds)],
        [Gap(n, 9, (1.0, 1.0, 1.0, 1.0), (2.0, 2.0, 2.0, 2.0)) for n in range(rounds)],
        evaluation, None, [Pair(shown, shown, 1, 1.0, 2.0, 3.0, image, "c", [])] * PAIRS, ["n" * 500] * 10,
    )  # fmt: skip
    assert len(render(figures).encode()) < 5_000_000


def test_rounds_that_nobody_began_are_counted(run: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("rounds = 2", "rounds = 3000000"))
    made = write_report(str(run))
    assert [stage.name for stage in made.figures.missing] == ["round-03/opponent", "round-03/auxiliary"]
    page = Page(Path(made.url).read_text())
    assert "and 5,999,994 more" in page.text("p") and "2 of 3,000,000" in page.text("td")


def test_time_is_unknown_where_nobody_kept_it(run: Path) -> None:
    before = write_report(str(run)).figures.stages
    assert all(stage.seconds is not None and stage.seconds > 0 for stage in before)
    (run / "times/dataset.seconds").write_text("a while")
    (run / "times/student.seconds").unlink()
    after = {stage.name: stage.seconds for stage in write_report(str(run)).figures.stages}
    assert after["dataset"] is after["student"] is None and after["evaluation"] is not None


def test_secrets_in_urls_are_left_out(run: Path) -> None:
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('eval = "', 'eval = "https://me:secret@host/x?token=tok3n&y=/'))
    shown = read(run)[0]
    assert "***@host" in shown and "secret@" not in shown and "tok3n" not in shown


def test_it_goes_where_it_is_told(run: Path, tmp_path: Path) -> None:
    assert write_report(f"{run}/", output=f"{tmp_path}/deep/er/page.html").url == f"{tmp_path}/deep/er/page.html"
    assert (tmp_path / "deep/er/page.html").is_file() and not (run / "report.html").exists()
    url = f"memory:///{tmp_path.name}"
    for name, _ in Folder(str(run)).find().items():
        Folder(url).write(name, (run / name).read_bytes())
    made = write_report(url)
    assert made.url == f"{url}/report.html" and Folder(url).size("report.html") == made.bytes


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "name the directory that run.output names"), ("run/dataset", "is one artifact"), ("many", "many/v002")],
)
def test_what_is_no_run_is_refused(run: Path, tmp_path: Path, path: str, said: str) -> None:
    for name in ("v001", "v002"):
        Folder(f"{tmp_path}/many/{name}").write("config.toml", b"")
    with pytest.raises(UserError, match=said):
        write_report(f"{tmp_path}/{path}")


def test_a_directory_is_no_page(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for output in (str(run), f"{tmp_path}/", f"{tmp_path}/empty"):
        with pytest.raises(UserError, match="takes the file to write"):
            write_report(str(run), output=output)
