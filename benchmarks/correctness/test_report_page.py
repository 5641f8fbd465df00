"""The HTML report, opened in a real headless browser, without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from saved_runs import HOSTILE, hostile, matrix, saved_run, slower
from stagebench.case import plain
from stagebench.report.html import page
from stagebench.report.report import Report
from stagebench.results.file import read_run
from stagebench.stages import PIPELINE, STAGES

FOUR = matrix(batch_sizes=(32,), workers=(0,))
MANY = matrix(
    batch_sizes=(8, 16, 32, 64, 128, 256, 512), workers=range(11), recipes=("published", "matched", "tuned")
)


def written(folder: Path, *runs: dict[str, Any], name: str = "run") -> Path:
    """Write the report of some runs, saved under this name, to a file."""
    saved = []
    for number, run in enumerate(runs):
        saved.append(folder / f"{name}{number or ''}.json")
        saved[-1].write_text(json.dumps(run))
    file = folder / "report.html"
    file.write_text(page(Report([read_run(path) for path in saved])))
    return file


CASES = {stage: 4 if "loads_data" in STAGES[stage].traits else 2 for stage in PIPELINE}
"""Cases of each stage in a report of two frameworks and two cache settings."""


@pytest.fixture(scope="module")
def report_of_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("four"), saved_run(FOUR))


@pytest.fixture(scope="module")
def report_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("many"), saved_run(MANY))


def marks(shown: Any, chart: str, kind: str = "symbol") -> int:
    """Count the marks of a chart."""
    return int(shown.locator(f"[data-chart={chart}] .role-mark.mark-{kind} path").count())


def rows(shown: Any) -> list[int]:
    """Count the rows of cases that are not hidden, in each table."""
    return shown.eval_on_selector_all(
        "table:has([data-case])",
        "all => all.map(one => one.querySelectorAll('[data-case]:not([hidden])').length)",
    )


def embedded(file: Path) -> dict[str, Any]:
    """Return the page's data, charts by row."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', file.read_text(), re.DOTALL)[1])
    for chart in data["charts"].values():
        columns = {
            name: [column["texts"][at] for at in column["at"]] if isinstance(column, dict) else column
            for name, column in chart["values"].items()
        }
        chart["rows"] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return data


def test_page_opens_offline_without_a_request_or_an_error(report_of_four, open_page):
    shown = open_page(report_of_four)

    assert shown.title() == "stagebench report"
    assert shown.locator(".chart svg").count() == len(embedded(report_of_four)["charts"]) == 13


def test_page_of_500_cases_is_at_most_5_megabytes(report_of_many):
    assert len(MANY) >= 500
    assert report_of_many.stat().st_size <= 5e6


def test_every_round_is_a_point_and_every_part_a_bar(report_of_four, open_page):
    shown = open_page(report_of_four)

    assert {stage: marks(shown, stage) for stage in PIPELINE} == {s: CASES[s] * 3 * 5 for s in PIPELINE}
    assert marks(shown, "pipeline_cold", "rect") == 4 * 6
    assert marks(shown, "pipeline_steady", "rect") == 4 * 7  # of training, what waits for data
    assert marks(shown, "peak", "rect") == 4 * 6
    assert marks(shown, "data_wait") == 4
    assert marks(shown, "epoch_loss") == marks(shown, "epoch_accuracy") == 4 * 3


def test_frameworks_differ_in_shape_as_well_as_in_colour(report_of_four, open_page):
    shown = open_page(report_of_four)

    paths = shown.locator("[data-chart=training] .role-mark.mark-symbol path")
    looks = paths.evaluate_all("all => all.map(one => [one.getAttribute('fill'), one.getAttribute('d')])")
    assert len({tuple(look) for look in looks}) == len({colour for colour, _ in looks}) == 2
    assert len({shape for _, shape in looks}) == 2


def test_a_table_has_every_case_and_every_round_of_its_chart(report_of_four, open_page):
    shown = open_page(report_of_four)

    charts = embedded(report_of_four)["charts"]
    for name, chart in charts.items():
        if name == "overview":
            continue  # the verdicts stand above it
        table = shown.locator(f"figure:has([data-chart={name}]) details.data table")
        cases = table.locator("[data-case]").evaluate_all("all => all.map(one => Number(one.dataset.case))")
        found = {row["case"] for row in chart["rows"]}
        assert set(cases) == found, name
        assert len(found) == CASES.get(name, 4), name
    for stage in PIPELINE:
        for row in charts[stage]["rows"]:
            cells = shown.locator(f"figure:has([data-chart={stage}]) [data-case='{row['case']}'] td")
            told = [
                list(map(float, process.split())) for process in re.findall(r"\[(.*?)]", cells.text_content())
            ]
            assert told == row["rounds"]
            assert [len(process) for process in told] == [5, 5, 5]


def test_filter_and_its_end_act_on_charts_tables_and_count_by_keyboard(report_of_four, open_page):
    shown = open_page(report_of_four)
    before = rows(shown)

    shown.get_by_label("tensorflow", exact=True).focus()
    shown.keyboard.press("Space")
    shown.wait_for_selector("html[data-drawn=all]")
    assert shown.locator("#shown").text_content() == "3 of 6 cases"
    assert rows(shown) == [count // 2 for count in before]
    assert marks(shown, "training") == 2 * 3 * 5
    assert marks(shown, "pipeline_cold", "rect") == 2 * 6

    shown.keyboard.press("Tab")  # torch
    shown.keyboard.press("Space")
    shown.wait_for_selector("html[data-drawn=all]")
    assert marks(shown, "training") == 0
    assert "No case is left" in shown.locator("[data-more=training]").text_content()

    shown.get_by_role("button", name="Show all").focus()
    shown.keyboard.press("Enter")
    shown.wait_for_function("document.getElementById('shown').textContent === 'all 6 cases'")
    shown.wait_for_selector("html[data-drawn=all]")
    assert rows(shown) == before
    assert marks(shown, "training") == 4 * 3 * 5


def test_many_cases_are_drawn_when_they_are_asked_for(report_of_many, open_page):
    shown = open_page(report_of_many)
    more = shown.locator("[data-more=training]")

    assert marks(shown, "training") == 40 * 3 * 5
    assert f"The first 40 of {len(MANY)} cases are drawn" in more.text_content()
    more.get_by_role("button", name="Draw all").press("Enter")
    shown.wait_for_function("document.querySelector('[data-more=training]').hidden")
    assert marks(shown, "training") == len(MANY) * 3 * 5


def test_keyboard_reaches_all_controls_and_shows_where_it_is(report_of_four, open_page):
    shown = open_page(report_of_four)
    shown.evaluate("""for (const all of document.querySelectorAll("details")) all.open = true;
        for (const one of document.querySelectorAll("a[href], input, button, summary, .scroll"))
            if (one.checkVisibility())
                one.dataset.control = document.querySelectorAll("[data-control]").length""")
    controls = shown.locator("[data-control]").count()
    reached = {}
    for _ in range(controls + 5):
        shown.keyboard.press("Tab")
        name, outline = shown.evaluate(
            "[document.activeElement.dataset.control, getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached[name] = outline
    assert {str(number) for number in range(controls)} <= set(reached)
    assert {outline for name, outline in reached.items() if name is not None} == {"solid"}


@pytest.mark.fault("a saved run with markup in its names", "text in a browser")
def test_hostile_text_stays_text(tmp_path, open_page):
    cases = [hostile(FOUR[0], HOSTILE), FOUR[1]]
    run = saved_run(cases, device_name=HOSTILE)
    run["machine_info"]["cpu"]["brand_raw"] = HOSTILE
    run["machine_info"]["gpus"] = [HOSTILE]
    run["stagebench"]["command"] = ["benchmarks", HOSTILE]
    failed = {"stage": "training", **plain(FOUR[2]), "outcome": "failed", "reason": HOSTILE}
    run["stagebench"]["not_measured"] = [failed]
    name = HOSTILE.replace("/", "")
    shown = open_page(written(tmp_path, run, name=name))

    assert shown.title() == "stagebench report"
    assert shown.evaluate("typeof hit") == "undefined"
    assert shown.locator("script").count() == 3
    assert shown.locator("img:not([src^='data:image/png'])").count() == 0
    text = shown.locator("body").text_content()
    assert text.count(HOSTILE) > 10  # as it was given, and not what comes of it
    assert name in text
    point = shown.locator("[data-chart=training] .role-mark.mark-symbol path").first
    point.scroll_into_view_if_needed()
    for place in range(marks(shown, "training")):
        shown.locator("[data-chart=training] .role-mark.mark-symbol path").nth(place).hover(force=True)
        if HOSTILE in shown.locator("#vg-tooltip-element").inner_text():
            break
    else:
        pytest.fail("no tooltip shows the name as it was given")
    assert shown.evaluate("typeof hit") == "undefined"


def test_options_and_arguments_are_set_as_code(tmp_path, open_page):
    run = saved_run(FOUR[:2])
    keys = ("choice", "framework", "published", "matched", "measured")
    cells = ("Adam", "torch", "`epsilon=1e-07`", "`a` & `<b>`", "a ` alone")
    run["stagebench"]["differences"] = [dict(zip(keys, cells, strict=True))]
    shown = open_page(written(tmp_path, run))

    cells = shown.locator("tr:has(th:text-is('Adam')) td")
    assert cells.locator("code").all_text_contents() == ["epsilon=1e-07", "a", "<b>"]
    assert [text.strip() for text in cells.all_text_contents()] == [
        "torch",
        "epsilon=1e-07",
        "a & <b>",
        "a ` alone",
    ]


def test_failed_and_skipped_cases_are_listed_with_their_reasons(tmp_path, open_page):
    run = saved_run(FOUR[:2])
    failed = {"stage": "training", **plain(FOUR[2]), "outcome": "failed", "reason": "it ran out of memory"}
    skipped = {"stage": "evaluation", **plain(FOUR[3]), "outcome": "skipped", "reason": "no such device"}
    run["stagebench"]["not_measured"] = [failed, skipped]
    shown = open_page(written(tmp_path, run))

    listed = shown.locator("#failed tbody tr").all_inner_texts()
    assert [line.split("\t") for line in listed] == [
        ["training", "torch, 0w (cache on)", "failed", "it ran out of memory"],
        ["evaluation", "tensorflow (cache on)", "skipped", "no such device"],
    ]
    assert "1 failed, 1 skipped" in shown.locator("#failed p").first.inner_text()


def test_run_in_which_everything_failed_still_has_a_page(tmp_path, open_page):
    run = saved_run(FOUR, stages=()) | {}
    run["stagebench"]["pictures"] = []
    run["stagebench"]["not_measured"] = [
        {"stage": stage, **plain(case), "outcome": "failed", "reason": "it died"}
        for stage in PIPELINE
        for case in FOUR
    ]
    shown = open_page(written(tmp_path, run))

    assert "there is no verdict" in shown.locator("#verdict").inner_text()
    assert shown.locator("#failed tbody tr").count() == 4 * 6
    assert shown.locator(".chart").count() == 0


def test_two_runs_are_told_apart(tmp_path, open_page):
    shown = open_page(written(tmp_path, saved_run(FOUR), saved_run(FOUR, seed=1)))

    assert shown.locator("#shown").text_content() == "all 12 cases"
    assert marks(shown, "training") == 8 * 3 * 5
    assert shown.locator("#verdict h3").filter(has_text="run 2: run1.json").count() == 1
    labels = shown.locator("#stages details.data").first.locator("tbody th").all_text_contents()
    assert len(set(labels)) == 8


def test_verdict_marks_winners_greys_what_is_inconclusive_and_has_headers(tmp_path, open_page):
    run = slower(saved_run(FOUR, noise=0.002), "training", "torch", 0.8)
    for benchmark in run["benchmarks"]:
        if benchmark["extra_info"]["stage"] == "evaluation":
            rising = [1 + at for at in range(15)]
            torch = benchmark["extra_info"]["framework"] == "torch"
            benchmark["stats"]["data"] = rising if torch else rising[::-1]
    shown = open_page(written(tmp_path, run), drawn=False)
    table = shown.locator("#verdict table")

    training = table.locator("tbody").filter(has=shown.get_by_text("training")).locator("tr")
    assert [row.split("\t")[-4] for row in training.all_inner_texts()] == ["cache off", "cache on"]
    assert training.locator("strong").count() == 0
    assert table.locator(".faster td:not(.n) strong").all_inner_texts() == ["tensorflow"] * 5
    assert table.locator(".faster td.n:nth-of-type(2) strong").count() == 5, "tensorflow's medians"
    grey, ink = (
        table.locator(f".{word} td").first.evaluate("one => getComputedStyle(one).color")
        for word in ("unknown", "faster")
    )
    assert grey != ink
    unbroken = table.locator(".unknown .unbroken").all_inner_texts()
    assert {text.strip("(").partition("=")[0][:2] for text in unbroken} > {"--"}, "intervals and options"
    assert table.locator("caption").inner_text() == "cpu, batch 32, augment on, matched"
    assert table.locator("th[scope=rowgroup]").count() == 3
    assert table.locator("th[scope=row]").count() == table.locator("tbody tr").count() == 9
    assert table.locator("th[scope=col]").all_inner_texts() == [
        *("stage", "setting", "torch", "tensorflow", "verdict (95% interval)")
    ]


def test_page_fits_a_phone(report_of_four, open_page):
    shown = open_page(report_of_four, viewport={"width": 360, "height": 700})

    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360
    shown.evaluate("for (const all of document.querySelectorAll('details')) all.open = true")
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360


CONTRASTS = """(all, over) => {
    const light = (colour) => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const behind = (one) => {
        if (over) return over;
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (!colour.endsWith(", 0)")) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    return all.filter((one) => one.checkVisibility()).map((one) => {
        const style = getComputedStyle(one);
        const ink = light(one instanceof SVGElement ? style.fill : style.color), paper = light(behind(one));
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    });
}"""


@pytest.mark.parametrize(
    "scheme", ["dark", pytest.param("light", marks=pytest.mark.nightly("the other scheme"))]
)
def test_text_stands_out(report_of_four, open_page, scheme):
    shown = open_page(report_of_four, color_scheme=scheme)

    text = "h1, h2, h3, p, a, caption, th, td, strong, li, label, legend, summary, code, button, .note"
    contrasts = shown.eval_on_selector_all(text, CONTRASTS)
    assert len(contrasts) > 300
    assert min(contrasts) >= 4.5
    of_charts = shown.eval_on_selector_all(".chart:not([data-chart=peak]) svg text", CONTRASTS)
    assert len(of_charts) > 100
    assert min(of_charts) >= 4.5
    over_cells = shown.eval_on_selector_all(
        "[data-chart=peak] .role-mark.mark-rect path", CONTRASTS, "rgb(17, 17, 17)"
    )
    assert len(over_cells) == 4 * 6
    assert min(over_cells) >= 4.5
    dark = shown.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_print_leaves_out_filters_and_shows_tables_in_full(report_of_many, open_page):
    shown = open_page(report_of_many)
    shown.emulate_media(media="print")

    assert not shown.locator("#filters").is_visible()
    cut = shown.eval_on_selector_all(
        ".scroll",
        "all => all.filter(one => one.checkVisibility() && one.clientHeight < one.scrollHeight).length",
    )
    assert cut == 0
    last = shown.locator("#stages > .scroll").first.locator("tbody tr").last
    assert last.bounding_box()["height"] > 0


def test_verdict_and_tables_need_no_javascript(report_of_four, open_page):
    shown = open_page(report_of_four, drawn=False, java_script_enabled=False)

    assert shown.locator("#verdict tbody").count() == 6
    assert "tensorflow 1.2" in shown.locator("#verdict .faster").first.inner_text()
    regions = shown.locator("#stages > .scroll").all()
    assert [region.locator("tbody tr").count() for region in regions] == [CASES[s] for s in PIPELINE]
    assert all(region.is_visible() for region in regions)
    assert shown.locator("noscript p").is_visible()
    assert not shown.locator("#filters").is_visible()
