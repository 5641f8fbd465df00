"""What every page is made of: its template with style, scripts, plotting library and data in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import Any

import jinja2
import markupsafe
import vl_convert

from stagebench.report.chart_parts import Chart, config
from stagebench.report.tables import words

EXPORTS = "window.vegaEmbed = vegaEmbed;"
UNBROKEN = re.compile(r"(--[a-z-]+(?:=\d+)?|\([\d.,e+-]+ to [\d.,e+-]+\))")
"""Options and intervals, which a narrow screen may not part."""


def render(
    template: str,
    cases: Sequence[Mapping[str, Any]],
    charts: Mapping[str, Chart],
    package: str = __package__,
    **values: Any,
) -> str:
    """Return a whole page, which opens offline.

    Args:
        template: its file's name; it extends `base.html.jinja`.
        cases: what charts and filters need to know of each case, by its index.
        charts: by name.
        package: where the template stands; what it includes may stand in this package too.
        values: what else the template shows.

    """
    places = dict.fromkeys((package, __package__))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FunctionLoader(partial(file, package=of)) for of in places]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["words"] = words
    environment.filters["code"] = _code
    environment.filters["unbroken"] = _unbroken
    return environment.get_template(template).render(
        charts=charts,
        cases=len(cases),
        data=_embedded(cases, charts),
        style=file("page.css"),
        script=file("page.js"),
        library=_library(),
        **values,
    )


def _embedded(cases: Sequence[Mapping[str, Any]], charts: Mapping[str, Chart]) -> str:
    """Return the data of all charts as JSON that no browser takes for markup."""
    data = {
        "cases": _columns(cases),
        "config": config("currentColor"),
        "charts": {
            name: {
                "spec": chart.spec,
                "values": _columns(chart.values),
                "title": chart.title,
                "tall": chart.rows_of_cases,
            }
            for name, chart in charts.items()
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


def _unbroken(text: str) -> markupsafe.Markup:
    """Return text as markup in which options and intervals stand on one line each."""
    parts = UNBROKEN.split(text)
    span = markupsafe.Markup('<span class="unbroken">{}</span>')
    return markupsafe.Markup("").join(span.format(p) if n % 2 else p for n, p in enumerate(parts))


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which reads nothing from the network."""
    return str(vl_convert.javascript_bundle(EXPORTS)).replace("</script", "<\\/script")


def file(name: str, package: str = __package__) -> str | None:
    """Return the text of a file in a package, or None if it is not there."""
    path = files(package).joinpath(name)
    return path.read_text(encoding="utf-8") if path.is_file() else None
