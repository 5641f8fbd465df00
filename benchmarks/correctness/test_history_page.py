"""The page of a history, opened in a real headless browser, without a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from saved_runs import HOSTILE, hostile, matrix, nightly, saved_run, slower
from stagebench.history.history import Order, read_history
from stagebench.history.page import history_page

CASES = matrix(batch_sizes=(32,), cache=("on",))  # torch with 0 and 2 workers, tensorflow
STAGES = ("data_loading", "training")
NIGHTS, STEP_AT = 14, 8
POINTS = NIGHTS * len(CASES)


def written(folder: Path, runs, axis: Order = "date") -> Path:
    """Write the history of some nights."""
    file = folder / "history.html"
    file.write_text(history_page(read_history(nightly(runs, folder), axis)))
    return file


def stepping():
    """Return nights after some of which one framework is slower at a stage."""
    runs = [saved_run(CASES, stages=STAGES, seed=night) for night in range(NIGHTS)]
    for run in runs[STEP_AT:]:
        slower(run, "training", "torch", 2)
    return runs


@pytest.fixture(scope="module", params=["date", "version"])
def history(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp("history"), stepping(), request.param)


@pytest.fixture(scope="module")
def by_date(tmp_path_factory):
    return written(tmp_path_factory.mktemp("history"), stepping())


def marks(shown, stage, kind="symbol"):
    """Count the marks of a stage's charts."""
    return shown.locator(f"[data-chart^={stage}] .role-mark.mark-{kind} path").count()


def test_page_opens_offline_with_every_point_and_step(history, open_page):
    shown = open_page(history)

    assert shown.title() == "stagebench history"
    assert {stage: marks(shown, stage) for stage in STAGES} == dict.fromkeys(STAGES, POINTS)
    steps = shown.locator("[data-chart^=training] .mark-rule line[stroke-width='2']")
    assert steps.count() == 2  # torch with 0 and with 2 workers
    assert shown.locator("[data-chart^=data_loading] .mark-rule line[stroke-width='2']").count() == 0
    assert "2 steps were found in 6 series" in shown.locator("#steps").inner_text()
    cells = shown.locator("#training td").filter(has_text=re.compile(r"^x [12]\.\d+ \(p = 0\.\d+\)$"))
    assert cells.count() == 2


def test_frameworks_differ_in_colour_and_cases_in_shape(by_date, open_page):
    shown = open_page(by_date)

    paths = shown.locator("[data-chart^=training] .role-mark.mark-symbol path")
    looks = paths.evaluate_all("all => all.map(one => [one.getAttribute('fill'), one.getAttribute('d')])")
    assert len({colour for colour, _ in looks}) == 2
    assert len({shape for _, shape in looks}) == 3


def test_links_and_points_lead_to_the_environment(by_date, open_page):
    shown = open_page(by_date)
    is_open = "all => all.filter(one => one.open).map(one => one.id)"

    shown.locator("#steps dt a").first.press("Enter")
    shown.wait_for_function("document.querySelector('.environment[open]')")
    assert shown.eval_on_selector_all(".environment", is_open) == [f"environment-{STEP_AT}"]
    assert shown.locator(f"#environment-{STEP_AT} table").is_visible()
    told = shown.locator(f"#environment-{STEP_AT}").inner_text()
    for fact in (
        f"{STEP_AT - 1:04d}.json",
        "2026-09-08 02:00",
        "A CPU",
        "torch",
        "0123456789abcdef",
        "pytest",
    ):
        assert fact in told, fact

    shown.locator("#training details.data summary").first.press("Enter")
    shown.locator("#training details.data a").nth(2).press("Enter")
    shown.wait_for_function("document.getElementById('environment-3').open")

    point = shown.locator("[data-chart^=training] .role-mark.mark-symbol path").first
    point.scroll_into_view_if_needed()
    point.click(force=True)
    shown.wait_for_function("document.getElementById('environment-1').open")
    assert shown.evaluate("location.hash") == "#environment-1"


def test_filter_acts_on_charts_and_tables_and_hides_empty_ones(tmp_path, open_page):
    cases = matrix(batch_sizes=(16, 32), workers=(0,), cache=("on",))
    runs = [saved_run(cases, stages=("training",), seed=night) for night in range(3)]
    shown = open_page(written(tmp_path, runs))
    assert shown.locator("#training figure:visible").count() == 2

    shown.get_by_label("32", exact=True).press("Space")
    shown.wait_for_selector("html[data-drawn=all]")
    assert shown.locator("#shown").text_content() == "2 of 4 cases"
    assert shown.locator("#training figure:visible").count() == 1
    shown.get_by_label("tensorflow", exact=True).press("Space")
    shown.wait_for_selector("html[data-drawn=all]")
    figure = shown.locator("#training figure:visible")
    assert figure.locator(".role-mark.mark-symbol path").count() == 3
    figure.locator("summary").press("Enter")
    assert figure.locator("tbody tr:visible").count() == 3

    shown.get_by_role("button", name="Show all").press("Enter")
    shown.wait_for_function("document.getElementById('shown').textContent === 'all 4 cases'")
    shown.wait_for_selector("html[data-drawn=all]")
    assert marks(shown, "training") == 3 * 4


@pytest.mark.parametrize("axis", ["date", "version"])
def test_hostile_text_stays_text(tmp_path, open_page, axis):
    cases = [hostile(CASES[0], HOSTILE), CASES[1]]
    runs = [saved_run(cases, ("training",), seed=n, framework_version=HOSTILE) for n in range(12)]
    for run in runs:
        run["machine_info"]["cpu"]["brand_raw"] = HOSTILE
        run["machine_info"]["gpus"] = [HOSTILE]
        run["stagebench"]["command"] = ["benchmarks", HOSTILE]
    for run in runs[6:]:
        run["machine_info"]["libraries"] = {HOSTILE: HOSTILE}
        slower(run, "training", "torch", 3)
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    (folder / "bad.json").write_text("{")
    nightly(runs, folder)
    file = tmp_path / "history.html"
    file.write_text(history_page(read_history([folder], axis)))
    shown = open_page(file)

    assert shown.title() == "stagebench history"
    assert shown.evaluate("typeof hit") == "undefined"
    assert shown.locator("script").count() == 4
    assert shown.locator("img").count() == 0
    assert "1 step was found" in shown.locator("#steps").inner_text()
    assert shown.locator("body").text_content().count(HOSTILE) > 10
    assert folder.name in shown.locator("#passed-over").text_content()
    points = shown.locator("[data-chart^=training] .role-mark.mark-symbol path")
    points.first.scroll_into_view_if_needed()
    points.first.hover(force=True)
    assert HOSTILE in shown.locator("#vg-tooltip-element").inner_text()
    assert shown.evaluate("typeof hit") == "undefined"


@pytest.mark.parametrize(
    "scheme", ["dark", pytest.param("light", marks=pytest.mark.nightly("the other scheme"))]
)
def test_page_fits_a_phone(history, open_page, scheme):
    shown = open_page(history, viewport={"width": 360, "height": 700}, color_scheme=scheme)

    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360
    shown.evaluate("for (const all of document.querySelectorAll('details')) all.open = true")
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_steps_tables_and_links_need_no_javascript(by_date, open_page):
    shown = open_page(by_date, drawn=False, java_script_enabled=False)

    assert shown.locator("#steps dd a").count() == 2
    assert shown.locator("#training tbody tr").count() == POINTS
    for link in shown.locator("#steps a, #training td a").all():
        assert shown.locator(link.get_attribute("href")).count() == 1


def test_page_without_a_run_has_no_script(tmp_path, open_page):
    file = tmp_path / "history.html"
    file.write_text(history_page(read_history([tmp_path])))
    shown = open_page(file, drawn=False)
    assert shown.locator("script").count() == 0
    assert "holds no *.json" in shown.locator("#passed-over").inner_text()


def test_long_names_of_several_machines_fit_a_phone(tmp_path, open_page):
    runs = stepping()
    for run in runs[STEP_AT:]:
        run["machine_info"]["cpu"]["brand_raw"] = "Some Processor of 96 Cores and a Long Name @ 2.60GHz"
    shown = open_page(written(tmp_path, runs), viewport={"width": 360, "height": 700})

    shown.evaluate("for (const all of document.querySelectorAll('details')) all.open = true")
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360
    assert shown.get_by_role("group", name="machine").locator("input").count() == 2
