"""The page as a person sees it: in a headless browser, on a desk and on a phone, in light and in dark."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aach_lightning.evaluation.card import Card
from aach_lightning.reports.leaderboard import card_files, make_leaderboard, save_leaderboard

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = {"phone": 390, "desk": 1280}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root cannot have
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=sandbox)
        yield started
        started.close()


@pytest.fixture(
    scope="module", params=[(device, scheme) for device in WIDTHS for scheme in ("light", "dark")], ids=" ".join
)
def opened(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    """The page and everything that the browser complained of."""
    device, scheme = request.param
    context = browser.new_context(viewport={"width": WIDTHS[device], "height": 844}, color_scheme=scheme, offline=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto((report / "index.html").as_uri())
    page.wait_for_load_state("load")
    yield page, complaints, scheme
    context.close()


def test_it_is_whole_and_fits(opened: tuple[Any, list[str], str]) -> None:
    page, complaints, scheme = opened
    assert complaints == []
    images = page.evaluate("Array.from(document.images, it => [it.complete, it.naturalWidth])")
    assert len(images) >= 20
    assert all(complete and width > 0 for complete, width in images)
    page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
    wide, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide == window
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 3
    assert (brightness > 200) == (scheme == "light")


def test_tables_are_sorted_by_their_headers(opened: tuple[Any, list[str], str]) -> None:
    page, complaints, _ = opened
    table = page.locator("#results table").first
    head = table.locator("thead tr:last-child th", has_text="MAP").first
    column = head.evaluate("it => it.cellIndex")

    def values() -> list[str]:
        found: list[str] = table.locator("tbody tr").evaluate_all(
            f"rows => rows.map(row => row.cells[{column}].dataset.value)"
        )
        return found

    before = values()
    numbers = sorted(float(value) for value in before if value)
    assert [float(value) for value in before if value] != numbers
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in values() if value] == numbers
    head.locator("button").press("Enter")  # by keyboard too
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(value) for value in values() if value] == numbers[::-1]
    assert all(values()[: len(numbers)])  # what is missing stays last
    names = table.locator("thead tr:last-child th").first
    names.locator("button").click()
    assert (head.get_attribute("aria-sort"), names.get_attribute("aria-sort")) == ("none", "ascending")
    names.locator("button").click()
    names.locator("button").click()
    assert values() == before
    assert complaints == []


def test_figures_follow_light_and_dark(opened: tuple[Any, list[str], str]) -> None:
    page, _, scheme = opened
    # the corner of a figure is paper: drawn on a canvas it would taint nothing, as it is a data URI
    pixel = page.evaluate(
        """async () => {
            const image = document.querySelector('.figures img');
            await image.decode();
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 4;
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0, 4, 4, 0, 0, 4, 4);
            return Array.from(context.getImageData(1, 1, 1, 1).data);
        }"""
    )
    assert (sum(pixel[:3]) / 3 > 200) == (scheme == "light")


def test_a_leaderboard_fits_a_phone_and_is_sorted(browser: Any, card: Callable[..., Card], tmp_path: Path) -> None:
    for seed, (name, value) in enumerate({"<b>aach</b>": 0.4, "b" * 60: 0.3, "c": 0.5}.items()):
        card(name, value).save(tmp_path / "cards")
        card(name, value + 0.01, seed=seed + 1).save(tmp_path / "cards")
    refused = card("greedy", 0.2)
    replace(refused, row=replace(refused.row, pairs_queried=501)).save(tmp_path / "cards")
    page = browser.new_page(viewport={"width": WIDTHS["phone"], "height": 844})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(save_leaderboard(make_leaderboard(card_files([tmp_path])), tmp_path).as_uri())
    wide, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide == window
    assert page.locator("#rejected").inner_text().count("501 pairs queried of 500") == 1
    head = page.locator("#results thead tr:last-child th", has_text="MAP").first
    column = head.evaluate("it => it.cellIndex")
    cells = page.locator(f"#results tbody tr td:nth-child({column + 1}), #results tbody tr th:nth-child({column + 1})")
    head.locator("button").click()
    head.locator("button").click()
    assert [text[:5] for text in cells.all_inner_texts()] == ["0.505", "0.405", "0.305"]
    assert complaints == []
    page.close()
