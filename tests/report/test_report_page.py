"""The page in a real browser: it works offline without errors, sorts, filters, and shows its pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from report_cases import broken, ladder, save_picture

from monai_topo.__main__ import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three cases: without error, with errors, and empty (whose clDice is not applicable); a name that is HTML."""
    folder = tmp_path_factory.mktemp("page")
    label = ladder()
    for name, prediction, true in (
        ("case2", label, label),
        ("case10 <b>&", broken(label), label),
        ("empty", 0 * label, 0 * label),
    ):
        save_picture(folder / "pred" / f"{name}.png", prediction)
        save_picture(folder / "label" / f"{name}.png", true)
        save_picture(folder / "images" / f"{name}.png", 0.2 + 0.5 * prediction)
    command = ["report", str(folder / "pred"), str(folder / "label"), "--out", str(folder / "report.html")]
    assert main([*command, "--images", str(folder / "images")]) == 0
    assert main(["labels", str(folder / "label"), "--out", str(folder / "labels.html")]) == 0
    return folder


@pytest.fixture
def opened(browser, folder):
    """Open a page and collect errors and network requests."""
    troubles = []

    def open_page(name):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
        page.goto(Path(folder / name).as_uri())
        return page

    yield open_page
    assert troubles == []


def names(page):
    return [text.strip() for text in page.locator("#case-table tbody th:visible").all_inner_texts()]


def test_a_click_on_a_heading_sorts_by_numbers_worst_first_and_back(opened):
    page = opened("report.html")
    assert names(page)[0] == "case10 <b>&"  # the worst
    heading = page.locator("#case-table th[data-name=dice]")
    heading.locator("button").click()
    assert names(page)[:2] == ["case10 <b>&", "case2"]  # higher is better, so the lowest first
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert names(page)[:2] == ["case2", "case10 <b>&"]
    page.locator("#case-table th[data-name=breaks] button").click()
    assert names(page)[0] == "case10 <b>&"  # lower is better, so the greatest first
    assert heading.get_attribute("aria-sort") is None


def test_a_checkbox_shows_the_images_below_the_circles(opened):
    page = opened("report.html")
    raw, circle = (page.locator(f"#case-1 .view {part}").first for part in (".raw", "circle"))
    assert (raw.is_visible(), circle.is_visible()) == (False, True)
    page.locator("[data-raw]").check()
    assert (raw.is_visible(), circle.is_visible()) == (True, True)
    page.locator("[data-raw]").uncheck()
    assert not raw.is_visible()


def test_not_applicable_stays_last_in_both_directions(opened):
    page = opened("report.html")
    button = page.locator("#case-table th[data-name=topology_f1] button")
    for _ in range(2):
        button.click()
        assert names(page)[-1] == "empty"


def test_names_with_numbers_sort_naturally(opened):
    page = opened("report.html")
    page.locator("#case-table thead th button").first.click()
    assert names(page) == ["case2", "case10 <b>&", "empty"]


def test_cases_are_found_and_all_columns_shown(opened):
    page = opened("report.html")
    few = page.locator("#case-table thead th:visible").count()
    page.locator("[data-all]").check()
    assert page.locator("#case-table thead th:visible").count() > few + 20
    page.locator("[data-filter]").fill("CASE1")
    assert names(page) == ["case10 <b>&"]


def test_pictures_are_decodable_and_errors_are_highlighted_together(opened, folder):
    page = opened("report.html")
    sizes = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert sizes
    assert min(sizes) > 0
    decoded = page.evaluate(
        """async () => {
          const loaded = [...document.querySelectorAll("svg image")].map((image) => {
            const picture = new Image();
            picture.src = image.getAttribute("href");
            return picture.decode().then(() => picture.naturalWidth);
          });
          return Promise.all(loaded);
        }"""
    )
    assert decoded == [60] * 6  # overlay and image of each case
    worst = json.loads((folder / "report.json").read_text())["cases"][0]
    number = next(error["number"] for error in worst["errors"] if error["kind"] == "spurious component")
    article = page.locator("article#case-1")
    article.locator(f"li[data-error='{number}']").hover()
    assert article.locator(f"svg g.pointed[data-error='{number}']").count() == 1
    circle = article.locator(f"svg g[data-error='{number}'] circle")
    assert (float(circle.get_attribute("cx")), float(circle.get_attribute("cy"))) == (21.5, 36.5)


def test_the_page_is_as_wide_as_its_window(opened):
    for name in ("report.html", "labels.html"):
        assert opened(name).evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_label_page_sorts_too(opened):
    page = opened("labels.html")
    page.locator("#label-table th[data-name=b1_full] button").click()
    first = page.locator("#label-table tbody th").first.inner_text()
    assert first != "empty.png"
    page.locator("#label-table th[data-name=b1_full] button").click()
    assert page.locator("#label-table tbody th").first.inner_text() == "empty.png"
