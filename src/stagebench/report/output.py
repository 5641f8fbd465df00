"""Reports on their way to a file."""

from __future__ import annotations

from pathlib import Path

import vl_convert

from stagebench.machine.files import write
from stagebench.report.chart_parts import complete
from stagebench.report.charts import charts
from stagebench.report.html import page
from stagebench.report.markdown import markdown
from stagebench.report.report import Report

PICTURE_SCALE = 2
"""Pixels of a PNG for each of a chart's."""


def format_of(path: Path) -> str:
    """Return the format of a report by its file's name: `markdown` where that ends in .md, else `html`."""
    return "markdown" if path.suffix == ".md" else "html"


def write_report(report: Report, path: Path, kind: str) -> None:
    """Write a report as one file, `markdown` or `html`.

    Raises:
        StorageError: the file cannot be written.

    """
    write(path, (markdown if kind == "markdown" else page)(report).encode())


def write_charts(report: Report, kind: str, folder: Path) -> list[Path]:
    """Write each chart as a file of its own; returns their paths.

    Args:
        report: whose charts.
        kind: `svg` or `png`.
        folder: is made if it is not there.

    Raises:
        StorageError: a file cannot be written.

    """
    paths = []
    for chart in charts(report):
        spec = complete(chart, report)
        if kind == "svg":
            content = str(vl_convert.vegalite_to_svg(spec)).encode()
        else:
            content = bytes(vl_convert.vegalite_to_png(spec, scale=PICTURE_SCALE))
        paths.append(folder / f"{chart.name}.{kind}")
        write(paths[-1], content)
    return paths
