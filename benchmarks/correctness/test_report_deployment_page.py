"""What the page shows of deployed models, in a real headless browser."""

from __future__ import annotations

import json
from itertools import combinations, product

import numpy as np
import pytest

from saved_runs import DEPLOYED, HOSTILE, deployed_run
from stagebench.report.html import page
from stagebench.report.label_places import CHARACTER, LINE, placed
from stagebench.report.report import Report
from stagebench.results.file import read_run


@pytest.mark.parametrize("seed", range(5))
def test_no_label_covers_another_even_where_the_picture_is_wider(seed):
    generator = np.random.default_rng(seed)
    points = [
        (x, y, "w" * length)
        for x, y, length in zip(
            generator.uniform(20, 460, 20),
            generator.choice([60, 62, 250], 20),
            generator.integers(4, 18, 20),
            strict=True,
        )
    ]
    labels = placed(points, 480, 340)

    assert sum(bool(label.text) for label in labels) >= 15
    for scale in (1, 1.3, 2, 3):
        boxes = []
        for (x, y, _), label in zip(points, labels, strict=True):
            length = len(label.text) * CHARACTER
            left = scale * x + label.dx - (length if label.align == "right" else 0)
            boxes += [(left, y + label.dy, left + length)] if label.text else []
        for a, b in combinations(boxes, 2):
            assert abs(a[1] - b[1]) >= LINE - 1e-6 or a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6
        for (x, y, _), (left, middle, right) in product(points, boxes):
            assert abs(y - middle) >= LINE / 2 or not left < scale * x < right, "a label covers a point"


@pytest.fixture(scope="module")
def deployed_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "run.json").write_text(json.dumps(deployed_run()))
    file = folder / "report.html"
    file.write_text(page(Report([read_run(folder / "run.json")])))
    return file


def test_a_page_without_the_pipeline_has_no_empty_sections(deployed_page, open_page):
    shown = open_page(deployed_page)

    places = shown.eval_on_selector_all("nav a", "all => all.map((one) => one.getAttribute('href'))")
    assert places == ["#verdict", "#stages", "#deployment", "#profiles", "#measured"]
    assert all(shown.locator(place).count() == 1 for place in places)
    text = shown.locator("main").inner_text()
    assert "was not measured" not in text
    assert "shows how throughput scales" not in text
    assert shown.eval_on_selector_all("table", "all => all.filter((one) => !one.rows.length).length") == 0
    assert shown.locator("#deployment .chart svg").count() == 3 + 8


def test_a_scatter_has_a_point_for_each_model_and_readable_labels(deployed_page, open_page):
    shown = open_page(deployed_page, viewport={"width": 1280, "height": 900})

    for name in ("accuracy_latency_batch_1", "accuracy_latency_batch_32", "accuracy_size"):
        chart = shown.locator(f"[data-chart={name}]")
        assert chart.locator(".role-mark.mark-symbol path").count() == len(DEPLOYED)
        texts = chart.locator(".role-mark.mark-text text")
        assert sorted(texts.all_text_contents()) == sorted(
            " ".join(key[1:]).removesuffix(" none") for key in DEPLOYED
        )
        boxes = texts.evaluate_all("all => all.map((one) => one.getBoundingClientRect().toJSON())")
        for a, b in combinations(boxes, 2):
            apart = (
                a["right"] <= b["left"]
                or b["right"] <= a["left"]
                or a["bottom"] <= b["top"] + 3  # of a line, some is empty
                or b["bottom"] <= a["top"] + 3
            )
            assert apart, name


def test_a_row_stays_as_long_as_one_of_its_batch_sizes_is_shown(deployed_page, open_page):
    shown = open_page(deployed_page)
    rows = shown.locator("#deployment > .scroll:has-text('same answers') tbody tr")
    visible = "all => all.filter((one) => !one.hidden).length"

    shown.get_by_label("32", exact=True).uncheck()
    shown.wait_for_selector("html[data-drawn=all]")
    assert rows.evaluate_all(visible) == len(DEPLOYED)
    shown.get_by_label("litert", exact=True).uncheck()
    shown.wait_for_selector("html[data-drawn=all]")
    assert rows.evaluate_all(visible) == len(DEPLOYED) - 4


@pytest.mark.parametrize(
    "scheme", ["dark", pytest.param("light", marks=pytest.mark.nightly("the other scheme"))]
)
def test_labels_stand_out(deployed_page, open_page, scheme):
    shown = open_page(deployed_page, color_scheme=scheme)

    ink = shown.evaluate("getComputedStyle(document.body).color")
    texts = shown.locator("#deployment .role-mark.mark-text text")
    colours = texts.evaluate_all("all => all.map((one) => getComputedStyle(one).fill)")
    assert len(colours) > 40
    assert set(colours) == {ink}


def test_the_page_of_deployed_models_fits_a_phone(deployed_page, open_page):
    shown = open_page(deployed_page, viewport={"width": 360, "height": 700})

    shown.evaluate("for (const all of document.querySelectorAll('details')) all.open = true")
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_names_that_a_stranger_gave_stay_text(tmp_path, open_page):
    hostile = HOSTILE[:90]
    content = deployed_run(profile=[{"name": HOSTILE, "seconds": 1, "calls": 1}], trace=HOSTILE)
    for benchmark in content["benchmarks"]:
        if benchmark["extra_info"]["deploy"] == "export":
            benchmark["extra_info"]["deploy"] = hostile
    (tmp_path / "run.json").write_text(json.dumps(content))
    (tmp_path / "report.html").write_text(page(Report([read_run(tmp_path / "run.json")])))
    shown = open_page(tmp_path / "report.html")

    assert shown.evaluate("typeof hit") == "undefined"
    assert shown.locator("script").count() == 3
    assert f"torch {hostile}" in shown.locator("#deployment").text_content()
    assert HOSTILE in shown.locator("#profiles").text_content()
