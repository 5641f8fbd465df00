"""The report as one self-contained HTML page, which opens offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from stagebench.article import published, write_up
from stagebench.article.ledger import cost_legend, cost_tables
from stagebench.report import best_settings, tables
from stagebench.report.chart_parts import described, look
from stagebench.report.charts import charts
from stagebench.report.conditions import condition_sentences
from stagebench.report.deployment_sentences import deployment_sentences, sanity_table
from stagebench.report.deployment_tables import deployed, deployment_table, latency_table, steps_table
from stagebench.report.formats import about, workers_legend
from stagebench.report.html.parts import render
from stagebench.report.profiles import NOTE, profile_tables
from stagebench.report.report import Report, fixed
from stagebench.report.setting_sentences import setting_sentences
from stagebench.report.verdicts import (
    COLD_START,
    NOTHING_TO_COMPARE,
    shared_settings,
    sides,
    verdict_rows,
    verdict_table,
)
from stagebench.stages import PIPELINE

OPEN = 4
"""Tables of a kind up to which each is open; more are folded."""


def page(report: Report) -> str:
    """Return the whole page: styles, scripts, plotting library and data are in it."""
    drawn = {chart.name: chart for chart in charts(report)}
    return render(
        "page.html.jinja",
        [described(entry) for entry in report.entries],
        drawn,
        report=report,
        tables=tables,
        published=published.comparisons(report),
        costs=[(cost_legend(run), found) for run in report.runs if (found := cost_tables(run))],
        verdicts=[_verdict(report, number) for number in range(len(report.runs))],
        about=about,
        look=look,
        nothing=NOTHING_TO_COMPARE,
        cold_start=COLD_START,
        workers_legend=workers_legend([result for run in report.runs for result in run.results]) or "",
        of_pipeline=not report.stages or any(stage in PIPELINE for stage in report.stages),
        deployment=_deployment(report, list(drawn)),
        profiles=profile_tables(report),
        profile_note=NOTE,
        stages=report.stages,
        listed=OPEN,
        scaled={axis: any(name.endswith(f"_{axis}") for name in drawn) for axis in ("batch_size", "workers")},
        counts=Counter(missing.outcome for _, missing in report.not_measured()),
        axes={axis: values for axis, values in report.varying.items() if len(values) > 1},
        fixed=fixed(report.varying),
    )


def _verdict(report: Report, number: int) -> dict[str, Any]:
    """Return what the page's first screen says of a run: its verdicts by stage, and its best settings."""
    run = report.runs[number]
    rows = verdict_rows(run.groups, report.by_recipe, run.not_measured)
    best = [
        (best_settings.best_sentence(found, report.by_recipe), best_settings.options(found, run))
        for found in best_settings.best_settings(run)
    ]
    return {
        "measured": bool(run.groups),
        "shared": shared_settings(run.groups, run.not_measured),
        "stages": [(stage, list(of_stage)) for stage, of_stage in groupby(rows, key=lambda row: row.stage)],
        "columns": verdict_table(rows).columns,
        "sides": sides(rows),
        "best": best,
        "costs": list(setting_sentences(run.groups, report.by_recipe)),
        "conditions": condition_sentences(run),
        "name": report.run_name(number),
    }


def _deployment(report: Report, drawn: Sequence[str]) -> dict[str, Any]:
    """Return what the page says of trained models that are deployed."""
    models, runs = deployed(report), []
    for number, run in enumerate(report.runs):
        told = list(deployment_sentences(run.groups, report.by_recipe))
        sanity = sanity_table(run.groups, report.by_recipe)
        if told or sanity.rows:
            runs.append({"name": report.run_name(number), "sentences": told, "sanity": sanity})
    return {
        "runs": runs,
        "models": deployment_table(models),
        "latency": latency_table(models),
        "steps": steps_table(models),
        "scatters": [name for name in drawn if name.startswith("accuracy_")],
        "write_up": write_up.write_up_table(report),
        "write_up_charts": write_up.chart_names(),
    }
