"""The site is built without a warning, needs no network, and its reference has all that the code has."""

from __future__ import annotations

import html
import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from cli.main import COMMANDS, bpkd
from schemas import registry
from schemas.config import Config
from schemas.registry import Registry
from tests.docs.blocks import DOCS, ROOT

pytestmark = pytest.mark.xdist_group("site")


def words(page: Path) -> str:
    """What one reads on a page, on one line."""
    article = re.search(r"<article.*?</article>", page.read_text(), re.DOTALL)
    assert article
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", article[0])).split())


def test_there_is_a_page_for_every_source(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page


def test_nothing_is_loaded_from_a_network(site: Path) -> None:
    """Links may lead away; scripts, styles, pictures, frames and fonts may not."""
    tags, places = "script|img|iframe|source|link|object|embed", "src|href|data"
    loads = re.compile(rf"<(?:{tags})\b[^>]*?(?:{places})=[\"']?((?:https?:)?//[^\"' >]+)")
    for page in site.rglob("*.html"):
        assert loads.findall(page.read_text()) == [], page
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert styles and not any(re.search(r"url\([\"']?(?:https?:)?//|@import", style) for style in styles)


def test_nothing_stands_where_something_was_to_be_put_in(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.search(r"<!-- (readme|generated):|--8&lt;--|--8<--", page.read_text()), page


def test_sections_of_the_readme_are_shown(site: Path) -> None:
    assert "how far teacher and student disagree at x" in words(site / "reference" / "words.html")
    assert "Distil a big model into a small one" in words(site / "index.html")


def test_links_of_the_readme_lead_to_pages_and_files_of_the_site(site: Path) -> None:
    links = re.findall(r'href="([^"#]+)', (site / "reference" / "dataset.html").read_text())
    assert {"../format.html", "../files/examples/plain_torch.py.txt"} <= {*links}
    copy = site / "files" / "examples" / "plain_torch.py.txt"
    assert copy.read_text() == (ROOT / "examples" / "plain_torch.py").read_text()


def keys(section: type[BaseModel], path: str = "") -> dict[str, str]:
    """Path of every key -> what it means."""
    found = {}
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= keys(inner, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = field.description or ""
    return found


def test_every_key_has_its_place_and_meaning(site: Path) -> None:
    page = site / "reference" / "config.html"
    anchors, text = set(re.findall(r'<h3 id="([^"]+)"', page.read_text())), words(page)
    known = keys(Config)
    assert anchors == {*known} and len(known) > 80
    missing = [key for key, meaning in known.items() if " ".join(meaning.split()) not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("run.rounds", "takes a whole number from 0 · default 5"),
        ("run.output", "takes text · required"),
        ("run.workers", 'takes a whole number from 1 or "all" · default 1'),
        ("data.mode", 'takes "L", "RGB", "RGBA" · not set by default'),
        ("data.size", "takes a list of 2: a whole number from 1 · not set by default"),
        ("mine.step_size", "takes a number above 0 · default 0.2; for text 0.6"),
        ("mine.keep", 'takes "all", "grew", "top" or your own package.module:Name · default "all"'),
        ("train.momentum", "takes a number from 0 to below 1 · default 0.9"),
    ],
)
def test_what_a_key_takes(site: Path, key: str, said: str) -> None:
    text = words(site / "reference" / "config.html")
    begin = text.index(f"{key}¶")
    assert said in text[begin : text.index("¶", begin + len(key) + 1)]


def test_every_command_option_and_example_is_there(site: Path) -> None:
    text = words(site / "reference" / "commands.html")
    top = click.Context(bpkd)
    for name in COMMANDS:
        command = bpkd.get_command(top, name)
        assert command is not None and f"bpkd {name}¶" in text
        part = text[text.index(f"bpkd {name}¶") :]
        for option in command.params:
            if isinstance(option, click.Option):
                assert max(option.opts, key=len) in part, f"{name} {option.name}"
    assert 'bpkd deploy config.toml --cron "0 2 * * *" --timezone Europe/Berlin' in text


def test_every_registered_name_is_there(site: Path) -> None:
    text = words(site / "reference" / "registries.html")
    for known in vars(registry).values():
        for name in known.names if isinstance(known, Registry) else ():
            assert known.target(name) in text
    assert "Named by mine.objective" in text and "Named by data.metrics" in text


def test_python_reference_shows_arguments(site: Path) -> None:
    text = words(site / "reference" / "python.html")
    for name in ("cache", "mine", "export", "train", "evaluate", "plan", "ascend", "parse_config", "open_dataset"):
        assert f"{name}(" in text
    assert "throw away what is there" in text
