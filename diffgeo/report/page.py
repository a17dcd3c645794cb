"""Report of a run from its results alone: verdicts, figures, and a page with both. Needs no JAX and no checkpoint."""

import base64
import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from diffgeo import claims, results
from diffgeo.experiment import Experiment
from diffgeo.host.disk import local_path
from diffgeo.host.files import atomic_write
from diffgeo.report import summary
from diffgeo.report.figures import draw

CLAIMS, PAGE, FIGURES = "claims.json", "report.html", "figures"
PROVENANCE = ("command", "commit", "hardware", "versions", "preset")

STYLE = """
body { font: 16px/1.45 sans-serif; color: #262626; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; display: block; margin: 1rem 0; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border: 1px solid #cccccc; padding: 0.3rem 0.5rem; text-align: left; vertical-align: top; font-size: 14px; }
.holds { background: #d9f2e6; } .fails { background: #fbe0d2; } .undecided { background: #eeeeee; }
pre { background: #f6f6f6; padding: 0.7rem; overflow-x: auto; font-size: 13px; }
"""


class Report(NamedTuple):
    """A written report: its folder, the verdicts, and the figure files by plot name."""

    folder: Path
    verdicts: tuple[claims.Verdict, ...]
    pictures: Mapping[str, Path]


def load(source: str | Path) -> tuple[xr.Dataset, Path]:
    """Load the results of a work folder or of a summary file.

    Returns:
      The results, and the folder for their report: the work folder, or FILE beside a summary FILE.zip.

    Raises:
      UserError: if there are no results.
    """
    source = local_path(source)
    if summary.is_summary(source):
        return summary.read(source), source.with_suffix("")
    return results.open_results(source).load(), source


def report(
    experiment: Experiment,
    dataset: xr.Dataset,
    folder: str | Path,
    pdf: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Judge the claims and write the report: `judge`, then `write`."""
    return write(experiment, dataset, judge(experiment, dataset, say), folder, pdf, say)


def judge(
    experiment: Experiment, dataset: xr.Dataset, say: Callable[[str], None] = print
) -> tuple[claims.Verdict, ...]:
    """Judge the claims of an experiment by its results, loaded, and say their verdicts; nothing is written."""
    verdicts = tuple(claims.judge(claim, dataset) for claim in experiment.claims)
    say(f"{experiment.name}, preset {dataset.attrs.get('preset', 'unknown')}: {experiment.figure}")
    say(claims.table(verdicts) if verdicts else "no claim to check: " + experiment.claim)
    return verdicts


def write(
    experiment: Experiment,
    dataset: xr.Dataset,
    verdicts: tuple[claims.Verdict, ...],
    folder: str | Path,
    pdf: bool = False,
    say: Callable[[str], None] = print,
) -> Report:
    """Draw the figures, and write DIR/claims.json, DIR/figures and DIR/report.html.

    Args:
      experiment: the experiment that was run.
      dataset: its results, loaded.
      verdicts: of `judge`.
      folder: DIR, created if it does not exist.
      pdf: also write figures as PDF.
      say: called with each file written.

    Raises:
      UserError: if the folder cannot be written to.
    """
    folder = Path(folder)
    claims.write(verdicts, folder / CLAIMS)
    missing: list[str] = []

    def note(line: str) -> None:
        say(line)
        if "is not drawn" in line:
            missing.append(line)

    pictures = draw(dataset, experiment.plots, folder / FIGURES, note, ("png", "pdf") if pdf else ("png",))
    write_page(folder / PAGE, experiment, dataset, verdicts, pictures, missing)
    say(f"wrote {folder / PAGE}")
    return Report(folder, verdicts, pictures)


def write_page(
    path: Path,
    experiment: Experiment,
    dataset: xr.Dataset,
    verdicts: Sequence[claims.Verdict],
    pictures: Mapping[str, Path],
    missing: Sequence[str] = (),
) -> None:
    """Write a self-contained HTML file with verdicts, figures and configuration, atomically."""
    title = f"{experiment.name}: {experiment.figure}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>',
        f"<style>{STYLE}</style></head><body><h1>{_text(title)}</h1><p>{_text(experiment.claim)}</p>",
        "<h2>Claims</h2>",
        *map(_claim, verdicts),
        "" if verdicts else "<p>None is checked.</p>",
        "<p>Intervals: 95 % by Student's t over all seeds; see docs/claims.md.</p><h2>Figures</h2>",
        *(_picture(name, file) for name, file in pictures.items()),
        *(f"<p>{_text(line)}</p>" for line in missing),
        "<h2>Run</h2><table>",
        *(f"<tr><th>{_text(k)}</th><td>{_text(dataset.attrs[k])}</td></tr>" for k in PROVENANCE if k in dataset.attrs),
        "</table><h2>Configuration</h2>",
        f"<pre>{_text(json.dumps(results.settings_tree(dataset), indent=2))}</pre></body></html>",
    ]
    atomic_write(path, "\n".join(parts))


def _claim(verdict: claims.Verdict) -> str:
    kind = {claims.HOLDS: "holds", claims.FAILS: "fails"}.get(verdict.verdict, "undecided")
    rows = [
        f"<tr><td>{_text(each.description)}</td><td>{_text(claims.numbers(each))}</td><td>{_text(each.wanted)}</td>"
        f"<td>{_text(each.role)}</td><td>{_text(each.verdict)}</td></tr>"
        for each in verdict.comparisons
    ]
    more = f"<p>{_text(verdict.reason)}</p>" if verdict.reason else ""
    if verdict.verdict != claims.HOLDS:
        reason = f"{verdict.reason}. " if verdict.reason else ""
        more = f"<p>{_text(f'{reason}Would decide it: {verdict.claim.would_decide}.')}</p>"
    head = "<tr><th>number</th><th>value [interval]</th><th>wanted</th><th>role</th><th>alone</th></tr>"
    return (
        f"<h3>({_text(verdict.claim.name)}) {_text(verdict.claim.statement)}</h3><p>{_text(verdict.claim.source)}</p>"
        f'<p class="{kind}"><b>{_text(verdict.verdict)}</b>{_p(verdict)}</p>{more}<table>{head}{"".join(rows)}</table>'
    )


def _p(verdict: claims.Verdict) -> str:
    return f" (p = {verdict.p:.2g})" if verdict.verdict == claims.HOLDS else ""


def _picture(name: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<h3>{_text(name)}</h3><img alt="{_text(name)}" src="data:image/png;base64,{data}">'


def _text(value: object) -> str:
    return html.escape(str(value))
