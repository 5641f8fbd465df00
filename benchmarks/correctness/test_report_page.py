"""The HTML report in a real headless browser."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from saved_runs import hostile, matrix, saved_run
from stagebench.case import plain
from stagebench.cli import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")
HOSTILE = """<script>alert(1)</script><img src=x onerror="alert(2)">'"</script><!-- {{7*7}} \N{PILE OF POO}"""
DRAWN = "html[data-drawn=all]"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_report(browser, tmp_path):
    """Return a function that opens the report of a run; what the page does wrong is in `complaints`."""
    pages = []

    def open_(content, javascript=True, **options):
        run, path = tmp_path / "run.json", tmp_path / "report.html"
        run.write_text(json.dumps(content))
        assert main(["report", str(run), "-o", str(path)]) == 0
        page = browser.new_page(java_script_enabled=javascript, **options)
        page.complaints = []
        page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (page.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: None if r.url.startswith("data:") else page.complaints.append(r.url))
        page.goto(path.as_uri())
        assert page.complaints.pop(0) == path.as_uri(), "the file itself"
        if javascript:
            page.wait_for_selector(DRAWN)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        assert page.complaints == []
        page.close()


@pytest.fixture
def content():
    return saved_run(matrix(batch_sizes=(16, 32), workers=(0,)), ["training", "evaluation"])


def test_every_round_of_every_case_is_a_mark_with_a_shape_for_its_framework(open_report, content):
    page = open_report(content)
    marks = page.locator("[data-chart=training] .mark-symbol.role-mark path")
    assert marks.count() == 8 * 3 * 5
    shapes = {mark.get_attribute("d") for mark in marks.all()}
    assert len(shapes) == 2


def test_a_filter_set_by_keyboard_changes_charts_tables_and_the_count(open_report, content):
    page = open_report(content)
    rows = page.locator("#stages tr[data-case]:visible")
    before = rows.count()
    page.locator("input[name=framework][value=torch]").focus()
    page.keyboard.press("Space")
    page.wait_for_selector(DRAWN)
    assert page.locator("#shown").inner_text() == "4 of 8 cases"
    assert rows.count() == before / 2
    assert page.locator("[data-chart=training] .mark-symbol.role-mark path").count() == 4 * 3 * 5
    page.get_by_role("button", name="Show all").press("Enter")
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('all 8')")
    assert rows.count() == before


def test_the_tab_key_reaches_every_control(open_report, content):
    page = open_report(content)
    controls = "a[href], button:not([hidden]), input, summary, [tabindex='0']"
    # What is folded away is no control until it is unfolded.
    count = page.evaluate(
        "(all) => [...document.querySelectorAll(all)].filter((e) => e.checkVisibility()).length", controls
    )
    reached = set()
    for _ in range(2 * count):
        page.keyboard.press("Tab")
        place = "(all) => [...document.querySelectorAll(all)].indexOf(document.activeElement)"
        reached.add(page.evaluate(place, controls))
    assert len(reached - {-1}) == count


def test_hostile_text_stays_text(open_report, content):
    case = hostile(matrix()[0], HOSTILE)
    other = saved_run([case, replace(case, batch_size=64)], ["training"], device_name=HOSTILE)
    failed = {"stage": "evaluation", **plain(case), "outcome": "failed", "reason": HOSTILE}
    other["stagebench"] |= {"not_measured": [failed], "command": [HOSTILE]}
    other["machine_info"]["cpu"]["brand_raw"] = HOSTILE
    page = open_report(other)
    assert page.title() == "stagebench report"
    assert page.locator("script").count() == 4
    assert page.locator("img:not([src^='data:image/png'])").count() == 0
    assert HOSTILE in page.locator("#failed td").last.text_content()
    assert HOSTILE in page.locator("#verdict").text_content()


@pytest.mark.parametrize("width", [360, 1920])
def test_the_page_never_scrolls_sideways(open_report, content, width):
    page = open_report(content, viewport={"width": width, "height": 800})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_print_leaves_the_filters_out_and_without_scripts_the_verdict_and_tables_stand(open_report, content):
    page = open_report(content, javascript=False)
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
    assert page.locator("#verdict dd").first.is_visible()
    assert page.locator("#stages tbody tr:visible").count() == 2 * 8


def test_a_run_without_any_time_is_a_page_that_says_so(open_report):
    nothing = saved_run([])
    failed = {"stage": "training", **plain(matrix()[0]), "outcome": "failed", "reason": "it broke"}
    nothing["stagebench"]["not_measured"] = [failed]
    page = open_report(nothing)
    assert "Nothing has a time" in page.locator("#verdict").inner_text()
    assert "it broke" in page.locator("#failed").inner_text()
