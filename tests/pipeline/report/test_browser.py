"""The page in a real browser, where Chromium and its driver are installed: apt-get install chromium chromium-driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import write_report
from tests.browser import headless, needs_browser
from tests.browser import show as show_page
from tests.pipeline.report.conftest import HOSTILE

pytestmark = [
    needs_browser,
    pytest.mark.slow,
]

PLOTS = """
return [...document.querySelectorAll('[data-plot]')].map(plot => {
  const box = plot.getBoundingClientRect(), lines = plot.querySelectorAll('svg path').length;
  const words = [...plot.querySelectorAll('svg text')].map(text => text.getBoundingClientRect());
  const inside = words.every(word => word.left >= box.left - 1 && word.right <= box.right + 1);
  return [plot.dataset.plot, Math.round(box.width), lines, inside];
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as driver:
        yield driver


@pytest.fixture
def show(browser: Any) -> Callable[..., None]:
    """A function (path, width, dark) that opens a page."""
    return lambda path, width, dark=False: show_page(browser, f"file://{path}", width, dark)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("kind", ["images", "numbers"])
def test_every_plot_is_drawn_at_every_width(
    browser: Any, show: Callable[..., None], run: Path, plain: Path, number_run: str, width: int, kind: str
) -> None:
    images = kind == "images"
    made = write_report(str(run), baseline=str(plain)) if images else write_report(number_run)
    show(made.url, width)
    assert browser.get_log("browser") == []
    drawn = browser.execute_script(PLOTS)
    assert len(drawn) == (7 if images else 5)
    for name, across, lines, inside in drawn:
        assert width / 2 < across <= width and lines > 3, name
        assert inside or name == "headline", name
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    pictures = "return [...document.images].map(image => image.complete && image.naturalWidth > 0)"
    assert all(browser.execute_script(pictures))


def test_plots_follow_the_colours_of_the_page(browser: Any, show: Callable[..., None], run: Path) -> None:
    path = write_report(str(run)).url
    colours = (
        "const lines = [...document.querySelectorAll('#plot-losses path:not([stroke-width=\"0\"])')];"
        "return [...new Set(lines.map(line => line.getAttribute('stroke')))]"
    )
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        show(path, 800, dark)
        seen.append((browser.execute_script(ground), set(browser.execute_script(colours))))
    (light, on_light), (night, on_dark) = seen
    assert light == "rgb(255, 255, 255)" and night != light
    assert "#0068a8" in on_light and "#5ab4ea" in on_dark and not on_light & on_dark - {None, "none"}
    # On paper it is light again, whatever the screen is.
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(ground) == "rgb(255, 255, 255)"
    assert "#0068a8" in browser.execute_script(colours)


def test_contrast_is_enough_in_both_schemes(browser: Any, show: Callable[..., None], run: Path, plain: Path) -> None:
    path = write_report(str(run), baseline=str(plain)).url
    for dark in (False, True):
        show(path, 800, dark)
        style = "getComputedStyle(document.body)"
        names = ["page", "panel", "text", "quiet", "link", "own", "other", "mark"]
        script = f"return arguments[0].map(name => [name, {style}.getPropertyValue('--' + name).trim()])"
        colour = dict(browser.execute_script(script, names))
        for on in ("page", "panel"):
            for name in ("text", "quiet", "link", "other"):
                assert contrast(colour[name], colour[on]) >= 4.5, (dark, name, on)
            assert contrast(colour["own"], colour[on]) >= 3
        assert contrast(colour["text"], colour["mark"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """By WCAG 2, of #rrggbb."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_hostile_names_do_nothing_in_a_tooltip_either(browser: Any, show: Callable[..., None], run: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    show(write_report(str(run)).url, 800)
    plot = browser.find_element(By.ID, "plot-classes")
    browser.execute_script("arguments[0].scrollIntoView()", plot)
    said = ""
    for y in range(-60, 40, 20):
        ActionChains(browser).move_to_element_with_offset(plot, 100, y).pause(0.1).perform()
        said += browser.execute_script("return arguments[0].lastElementChild.innerText", plot)
    assert all(name[:20] in said for name in HOSTILE)
    assert browser.get_log("browser") == []
    acts = "return document.querySelectorAll('img[src=x], #plot-classes img, #plot-classes script').length"
    assert browser.execute_script(acts) == 0


def test_the_keyboard_reaches_the_content_at_once(browser: Any, show: Callable[..., None], run: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(write_report(str(run)).url, 800)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    first = browser.switch_to.active_element
    assert first.text == "Skip to the content" and first.rect["x"] >= 0
    first.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
