"""The report as one self-contained HTML page, which opens offline."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stagebench.reporting import published, sentences, tables
from stagebench.reporting.charts import charts, described
from stagebench.reporting.figures import about
from stagebench.reporting.html.parts import render
from stagebench.reporting.ledger import cost_legend, cost_tables
from stagebench.reporting.report import Report

LISTED_GROUPS = 4
"""Settings of a stage up to which the page shows each; of more it counts them, and lists them folded."""


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
        stages=report.stages,
        listed=LISTED_GROUPS,
        scaled={axis: any(name.endswith(f"_{axis}") for name in drawn) for axis in ("batch_size", "workers")},
        counts=Counter(missing.outcome for _, missing in report.not_measured()),
        axes={axis: values for axis, values in report.varying.items() if len(values) > 1},
        fixed={axis: values[0] for axis, values in report.varying.items() if len(values) == 1},
    )


def _verdict(report: Report, number: int) -> dict[str, Any]:
    """Return what the verdict says of a run: by stage a heading sentence, and a sentence for each group."""
    run = report.runs[number]
    stages = {}
    for stage, outcomes in sentences.outcomes_by_stage(run).items():
        each = [
            (found.group.settings, sentences.group_sentence(found, report.by_recipe)) for found in outcomes
        ]
        stages[stage] = {
            "groups": each,
            "folded": len(each) > LISTED_GROUPS,
            "in_short": sentences.stage_sentence(outcomes, report.by_recipe),
        }
    best = [
        (sentences.best_sentence(found, report.by_recipe), sentences.options(found.result.case))
        for found in sentences.best_settings(run)
    ]
    return {
        "stages": stages,
        "best": best,
        "reasons": sentences.reasons(run),
        "name": report.run_name(number),
    }
