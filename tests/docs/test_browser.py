"""The site in a real browser, opened from the disk, where Chromium and its driver are installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import headless, needs_browser
from tests.browser import show as show_page

pytestmark = [
    needs_browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as driver:
        yield driver


@pytest.fixture
def show(browser: Any, site: Path) -> Callable[..., None]:
    """A function (page, width, dark) that opens a page."""
    return lambda page, width, dark=False: show_page(browser, (site / page).as_uri(), width, dark)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen_or_asks_a_network(
    browser: Any, show: Callable[..., None], site: Path, width: int
) -> None:
    browser.get_log("performance")
    for page in sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html"):
        show(page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") == width, page
        assert browser.get_log("browser") == [], page
    sent = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    urls = [event["params"]["request"]["url"] for event in sent if event["method"] == "Network.requestWillBeSent"]
    assert urls and {url.partition(":")[0] for url in urls} <= {"file", "data", "blob"}


def test_a_key_of_the_config_is_found_without_a_server(browser: Any, show: Callable[..., None]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    show("reference/words.html", 1280)
    field = browser.find_element(By.CLASS_NAME, "md-search__input")
    field.click()
    field.send_keys("step_size")
    hits = "return [...document.querySelectorAll('.md-search-result__item a')].map(link => link.getAttribute('href'))"
    found = WebDriverWait(browser, 20).until(lambda browser: browser.execute_script(hits))
    assert any("reference/config.html" in hit and hit.endswith("#mine.step_size") for hit in found)


def test_light_and_dark_follow_the_system(browser: Any, show: Callable[..., None]) -> None:
    grounds = []
    for dark in (False, True):
        show("index.html", 800, dark)
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] == "rgb(255, 255, 255)" != grounds[1]
