"""Pages of HTML: that of a run, and one of several runs."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from diffgeo.experiment import Plot
from diffgeo.host.disk import local_path
from diffgeo.host.files import atomic_write
from diffgeo.plots.samples import sample_grid
from diffgeo.report import sections
from diffgeo.report.document import document, explorer
from diffgeo.report.explorer import Budget, explore
from diffgeo.report.figures import draw
from diffgeo.report.sample_errors import sample_error_map
from diffgeo.report.sections import text
from diffgeo.results import settings_of

if TYPE_CHECKING:
    from diffgeo.report.page import Report


def write_page(path: Path, report: "Report", tree: Mapping[str, Any] | None) -> Path:
    """Write a self-contained HTML file with verdicts, figures, what can be explored (`tree`), and where it comes from.

    `tree` is what `explore` returns for the report's results.
    """
    title = f"{report.experiment.name}: {report.experiment.figure}"
    return atomic_write(path, document(title, f"<h1>{text(title)}</h1>{_body(report, tree)}", tree is not None))


def write_gallery(path: str | Path, reports: Sequence["Report"]) -> Path:
    """Write one page of several runs, each folded under its name and verdicts until it is opened.

    Args:
      path: of the file, NAME.html.
      reports: of `write`, their figures still there.

    Raises:
      UserError: if the file cannot be written.
    """
    trees = [explore(each.results, Budget().shared(len(reports))) for each in reports]
    runs = [
        f'<details class="run"><summary><b>{text(each.experiment.name)}</b>{_folder(each)}, preset '
        f"{text(each.results.attrs.get('preset', 'unknown'))}: {text(each.experiment.figure)} "
        f"{sections.badges(each.verdicts)}</summary>{_body(each, tree)}</details>"
        for each, tree in zip(reports, trees, strict=True)
    ]
    body = f"<h1>Results of diffgeo</h1><p>{len(reports)} runs; open one to see it.</p>{''.join(runs)}"
    return atomic_write(local_path(path), document("Results of diffgeo", body, any(tree is not None for tree in trees)))


def _folder(report: "Report") -> str:
    """Return which run of an experiment a report is of, by its folder's name, unless that is the experiment's."""
    name = report.folder.name
    return "" if name == report.experiment.name else f" ({text(name)})"


def _body(report: "Report", tree: Mapping[str, Any] | None) -> str:
    """Return a run as HTML, without its title."""
    parts = [
        f"<p>{text(report.experiment.claim)}</p><h2>Claims</h2>",
        *map(sections.claim, report.verdicts),
        "" if report.verdicts else "<p>None is checked.</p>",
        '<p class="faint">Intervals: 95 % by Student\'s t over all seeds; see docs/claims.md.</p>',
        "" if tree is None else f"<h2>Explore</h2>{explorer(tree, report.stills)}",
        f"<h2>Figures</h2>{sections.pictures(report.pictures, report.missing)}",
        f"<h2>Where it comes from</h2>{sections.provenance(report.results)}",
    ]
    return "".join(parts)


def stills(results: xr.Dataset, tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return, as HTML, the errors and the samples of the best member at its last step, as figures that stand still."""
    axes = [name for name in settings_of(results).axes if name in results.dims]
    best = {name: results[name].values[at] for name, at in zip(axes, tree["best"], strict=True)}
    plots = [
        # of all read-outs, as the script: figures are given that of the settings
        Plot("error of every sample", lambda _: sample_error_map(results, **best)),
        Plot("samples", lambda found: sample_grid(found, tree["last"], **best)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw(results, plots, folder, say=lambda line: None)
        return tuple(sections.picture(name, file) for name, file in drawn.items())
