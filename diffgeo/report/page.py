"""Report of a run from its results alone: verdicts, figures, and a page with both. Needs no JAX and no checkpoint."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from diffgeo import claims, results
from diffgeo.experiment import Experiment
from diffgeo.host.disk import local_path
from diffgeo.report import summary
from diffgeo.report.figures import draw

CLAIMS, PAGE, FIGURES = "claims.json", "report.html", "figures"


class Report(NamedTuple):
    """A written report: its folder, the verdicts, the figure files by plot name, and what they were made of.

    `missing` has a line for each plot that was not drawn; `stills` are pictures, as HTML, of what its page explores.
    """

    folder: Path
    verdicts: tuple[claims.Verdict, ...]
    pictures: Mapping[str, Path]
    experiment: Experiment
    results: xr.Dataset
    missing: tuple[str, ...]
    stills: tuple[str, ...]


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
    from diffgeo.report import pages  # matplotlib takes a second to import

    tree = pages.explore(dataset)
    stills = () if tree is None else pages.stills(dataset, tree)
    made = Report(folder, verdicts, pictures, experiment, dataset, tuple(missing), stills)
    pages.write_page(folder / PAGE, made, tree)
    say(f"wrote {folder / PAGE}")
    return made
