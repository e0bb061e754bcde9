"""The protocol as one page to print and to sign by hand; it needs nothing from anywhere else. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from gateway.commissioning.follow import FOLLOWS
from gateway.commissioning.plot import Line, svg
from gateway.commissioning.protocol import Heading
from gateway.commissioning.result import Result, Trace, Verdict, worst

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; color: #111; background: #fff; max-width: 60em; margin: 2em auto;
  padding: 0 1em }
h1 { margin-bottom: 0 } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; border-bottom: 1px solid #ddd }
th { font-weight: 600 } .verdict { font-weight: 700; white-space: nowrap }
.PASS { color: #17692c } .FAIL { color: #b00020 } .INCONCLUSIVE { color: #8a5a00 } .NOT-RUN { color: #666 }
.advice { color: #b00020 } svg { width: 100%; max-width: 640px; font: 10px system-ui, sans-serif }
.sign { display: flex; gap: 3em; margin-top: 4em } .sign div { flex: 1; border-top: 1px solid #111; padding-top: 4px }
section { break-inside: avoid } @media print { body { margin: 0 } }
"""


def page(heading: Heading, results: Sequence[Result]) -> str:
    """A whole HTML document."""
    devices = dict.fromkeys(result.device for result in results)
    sections = [_section(device, [result for result in results if result.device == device]) for device in devices]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Commissioning {escape(heading.site)}</title>
<style>{_STYLE}</style></head><body>
<h1>Commissioning protocol</h1>
<p>{escape(heading.site_name or heading.site)}: {_verdict(worst(results))}</p>
{_facts(_about(heading))}
{"".join(sections)}
<div class="sign"><div>Place, date</div><div>Operator{_named(heading.operator)}</div><div>For the network operator</div>
</div></body></html>
"""


def _about(heading: Heading) -> Mapping[str, str]:
    agreed = "; ".join(f"{device}: {what}" for device, what in heading.consent.items())
    return {
        "Site": heading.site,
        "Begun": heading.begun,
        "Finished": heading.finished,
        "Ended": heading.ended,
        "Operator": heading.operator or "not named",
        "Consent to write": agreed or "none asked for",
        "Configuration": heading.configuration,
        "dergate": heading.version,
        "Signed by the gateway's key": heading.key,
    }


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _section(device: str, results: Sequence[Result]) -> str:
    head = "<tr><th>Test</th><th>Expected</th><th>Measured</th><th>Verdict</th></tr>"
    rows = "".join(map(_row, results))
    plots = "".join(_plot(result.trace) for result in results if result.trace is not None)
    return f"<section><h2>{escape(device)}</h2><table>{head}{rows}</table>{plots}</section>\n"


def _row(result: Result) -> str:
    cells = [result.test, result.expected, result.measured + _times(result)]
    advice = f'<tr><td></td><td colspan="3" class="advice">{escape(result.advice)}</td></tr>' if result.advice else ""
    return (
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{_verdict(result.verdict)}</td></tr>{advice}"
    )


def _times(result: Result) -> str:
    times = (("dead time", "dead_time_s"), ("T90", "t90_s")) if result.test == FOLLOWS else ()
    return "".join(f", {name} {result.values[key]:.1f} s" for name, key in times if key in result.values)


def _plot(trace: Trace) -> str:
    device = [Line("asked", "#999", trace.asked), Line("device", "#0b5fa5", trace.device)]
    return svg([device, [Line("PCC meter", "#b35c00", trace.meter)]])


def _verdict(verdict: Verdict) -> str:
    return f'<span class="verdict {str(verdict).replace(" ", "-")}">{verdict}</span>'


def _named(operator: str) -> str:
    return f" ({escape(operator)})" if operator else ""
