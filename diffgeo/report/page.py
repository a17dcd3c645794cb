"""What a run found, from its results alone: verdicts, figures, and both in one page. Needs no JAX and no checkpoint."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from diffgeo import claims, results
from diffgeo.errors import UserError
from diffgeo.experiment import Experiment
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
    """What `report` made: the folder it lies in, the verdicts, and the pictures by name."""

    folder: Path
    verdicts: tuple[claims.Verdict, ...]
    pictures: Mapping[str, Path]


def load(source: str | Path) -> tuple[xr.Dataset, Path]:
    """The results of a work folder or of a summary file, and the folder that a report of them is written to.

    That of a summary FILE.zip is FILE beside it.

    Raises:
      UserError: if there are no results.
    """
    source = Path(source)
    if source.suffix == summary.ENDING:
        if not source.exists():
            raise UserError(f"no summary {str(source)!r}: write one by launch.report --summary")
        return summary.read(source), source.with_suffix("")
    return results.open_results(source).load(), source


def report(experiment: Experiment, found: xr.Dataset, folder: str | Path, pdf: bool = False, say=print) -> Report:
    """Judges the claims, draws the figures, and writes DIR/claims.json, DIR/figures and DIR/report.html.

    Args:
      experiment: the one that the results are of.
      found: its results, loaded.
      folder: DIR, made if need be.
      pdf: whether figures are also written as PDF.
      say: where lines go.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = tuple(claims.judge(claim, found) for claim in experiment.claims)
    say(f"{experiment.name}, preset {found.attrs.get('preset', 'unknown')}: {experiment.figure}")
    say(claims.table(verdicts) if verdicts else "no claim to check: " + experiment.claim)
    claims.write(verdicts, folder / CLAIMS)
    missing: list[str] = []

    def note(line: str) -> None:
        say(line)
        if "is not drawn" in line:
            missing.append(line)

    pictures = draw(found, experiment.plots, folder / FIGURES, note, ("png", "pdf") if pdf else ("png",))
    write_page(folder / PAGE, experiment, found, verdicts, pictures, missing)
    say(f"wrote {folder / PAGE}")
    return Report(folder, verdicts, pictures)


def write_page(
    path: Path,
    experiment: Experiment,
    found: xr.Dataset,
    verdicts: Sequence[claims.Verdict],
    pictures: Mapping[str, Path],
    missing: Sequence[str] = (),
) -> None:
    """One HTML file with verdicts, pictures and configuration, which refers to no other file; by one rename."""
    title = f"{experiment.name}: {experiment.figure}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>',
        f"<style>{STYLE}</style></head><body><h1>{_text(title)}</h1><p>{_text(experiment.claim)}</p>",
        "<h2>Claims</h2>",
        *(_claim(one) for one in verdicts),
        "" if verdicts else "<p>None is checked.</p>",
        "<p>Intervals: 95 % bootstrap over seeds and samples, all seeds; see diffgeo.claims.</p><h2>Figures</h2>",
        *(_picture(name, file) for name, file in pictures.items()),
        *(f"<p>{_text(line)}</p>" for line in missing),
        "<h2>Run</h2><table>",
        *(f"<tr><th>{_text(k)}</th><td>{_text(found.attrs[k])}</td></tr>" for k in PROVENANCE if k in found.attrs),
        "</table><h2>Configuration</h2>",
        f"<pre>{_text(json.dumps(results.settings_tree(found), indent=2))}</pre></body></html>",
    ]
    atomic_write(path, "\n".join(parts))


def _claim(one: claims.Verdict) -> str:
    kind = {claims.HOLDS: "holds", claims.FAILS: "fails"}.get(one.verdict, "undecided")
    rows = [
        f"<tr><td>{_text(part.words)}</td><td>{_text(claims.numbers(part))}</td><td>{_text(part.wanted)}</td>"
        f"<td>{_text(part.role)}</td><td>{_text(part.verdict)}</td></tr>"
        for part in one.comparisons
    ]
    more = ""
    if one.verdict != claims.HOLDS:
        reason = f"{one.reason}. " if one.reason else ""
        more = f"<p>{_text(f'{reason}Would decide it: {one.claim.decides}.')}</p>"
    head = "<tr><th>number</th><th>value [interval]</th><th>wanted</th><th>role</th><th>alone</th></tr>"
    return (
        f"<h3>({_text(one.claim.name)}) {_text(one.claim.statement)}</h3><p>{_text(one.claim.source)}</p>"
        f'<p class="{kind}"><b>{_text(one.verdict)}</b></p>{more}<table>{head}{"".join(rows)}</table>'
    )


def _picture(name: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<h3>{_text(name)}</h3><img alt="{_text(name)}" src="data:image/png;base64,{data}">'


def _text(value) -> str:
    return html.escape(str(value))
