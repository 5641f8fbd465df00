"""The report as one self-contained HTML page, which opens offline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import markupsafe
import vl_convert

from stagebench.reporting import published, sentences, tables
from stagebench.reporting.charts import Chart, charts, config, described
from stagebench.reporting.figures import about
from stagebench.reporting.ledger import cost_legend, cost_tables
from stagebench.reporting.report import Report

EXPORTS = "window.vegaEmbed = vegaEmbed;"
LISTED_GROUPS = 4
"""Settings of a stage up to which the page shows each; of more it counts them, and lists them folded."""


def page(report: Report) -> str:
    """Return the whole page: styles, scripts, plotting library and data are in it."""
    drawn = {chart.name: chart for chart in charts(report)}
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["words"] = tables.words
    environment.filters["code"] = _code
    template = environment.from_string(_file("page.html.jinja"))
    return template.render(
        report=report,
        charts=drawn,
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
        data=_embedded(report, drawn),
        style=_file("page.css"),
        script=_file("page.js"),
        library=_library(),
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


def _embedded(report: Report, drawn: dict[str, Chart]) -> str:
    """Return the data of all charts as JSON that no browser takes for markup."""
    data = {
        "cases": _columns([described(entry) for entry in report.entries]),
        "config": config("currentColor"),
        "charts": {
            name: {
                "spec": chart.spec,
                "values": _columns(chart.values),
                "title": chart.title,
                "tall": chart.rows_of_cases,
            }
            for name, chart in drawn.items()
        },
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows by column, of texts each once with its places: a fifth of their size as rows."""
    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if all(isinstance(value, str) for value in values):
            places = {text: place for place, text in enumerate(dict.fromkeys(values))}
            columns[name] = {"texts": list(places), "at": [places[text] for text in values]}
        else:
            columns[name] = values
    return columns


def _code(text: str) -> markupsafe.Markup:
    """Return text as markup, with what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return markupsafe.escape(text)
    tagged = (markupsafe.Markup("<code>{}</code>").format(p) if n % 2 else p for n, p in enumerate(parts))
    return markupsafe.Markup("").join(tagged)


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which reads nothing from the network."""
    return str(vl_convert.javascript_bundle(EXPORTS)).replace("</script", "<\\/script")


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
