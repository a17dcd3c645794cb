"""Figures of a run as files: every plot of an experiment, drawn from the results alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from diffgeo.errors import UserError
from diffgeo.experiment import Plot
from diffgeo.results import select_scores


def draw(
    results: xr.Dataset,
    plots: Sequence[Plot],
    folder: str | Path,
    say: Callable[[str], None] = print,
    endings: Sequence[str] = ("png",),
) -> dict[str, Path]:
    """Draw plots into a folder, a file for every plot and ending.

    A plot whose data are missing is skipped with a message; the others are still drawn.

    Args:
      results: of a run.
      plots: of the experiment.
      folder: DIR/figures of a work folder.
      say: called with a line for every file written and every plot skipped.
      endings: any of "png", "pdf".

    Returns:
      Plot name -> file of the first ending, for the plots drawn.
    """
    from diffgeo.plots import style  # matplotlib takes a second to import

    results = select_scores(results)  # every figure is of the papers' own labels and read-out
    drawn: dict[str, Path] = {}
    for plot in plots:
        try:
            with style.context():
                figure = plot.draw(results)
        except UserError as error:
            say(f"{plot.name} is not drawn: {error}")
            continue
        for ending in endings:
            path = style.save(figure, Path(folder) / f"{plot.name}.{ending}")
            drawn.setdefault(plot.name, path)
            say(f"wrote {path}")
    return drawn
