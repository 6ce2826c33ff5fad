"""What a notebook shows of the findings."""

from __future__ import annotations

from html import escape
from typing import Any

#: Incidents and anomalies that are shown.
SHOWN = 10


def _table(title: str, head: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<h4>{escape(title)}</h4><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def findings(found: Any) -> str:
    """Totals, the most urgent incidents and the first anomalies, as HTML."""
    total = found.summary()["total"]
    head = (
        f"<p><b>{total['anomalies']} anomalies</b> in {found.rows} rows of {len(found.series)} series; "
        f"revenue below expectation by {total['revenue_lost']:,.0f}, above by {total['revenue_gained']:,.0f}</p>"
    )
    incidents = [
        [i["priority"], i["severity"], i["series"], i["summary"]]
        for i in (found.site_incidents() + found.incidents())[:SHOWN]
    ]
    anomalies = [
        [a["rank"], a["time"], a["series"], f"{a['score']:.2f}", a["severity"], a["title"]]
        for a in found.anomalies(SHOWN)
    ]
    left_out = [[series, reason] for series, reason in found.failures[:SHOWN]]
    return (
        "<div>"
        + head
        + _table("Incidents", ["priority", "severity", "series", "summary"], incidents)
        + _table("Anomalies", ["rank", "hour", "series", "score", "severity", "title"], anomalies)
        + _table("Series left out", ["series", "reason"], left_out)
        + "</div>"
    )
