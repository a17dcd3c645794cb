"""Pictures of a run as files: every plot of an experiment drawn from the results alone."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from diffgeo.errors import UserError
from diffgeo.experiment import Plot


def draw(
    found: xr.Dataset, plots: Sequence[Plot], folder: str | Path, say=print, endings: Sequence[str] = ("png",)
) -> dict[str, Path]:
    """Draw plots into a folder, a file for every plot and ending.

    Args:
      found: the results.
      plots: of the experiment.
      folder: DIR/figures of a work folder.
      say: where one line a picture goes.
      endings: "png", "pdf".

    Returns:
      Plot name -> the file of the first ending, of those that could be drawn; what is lacking for one picture is said,
      and the others are still drawn.
    """
    from diffgeo.plots import style  # matplotlib takes a second to import

    drawn = {}
    for plot in plots:
        try:
            with style.context():
                figure = plot.draw(found)
        except UserError as error:
            say(f"{plot.name} is not drawn: {error}")
            continue
        for ending in endings:
            path = style.save(figure, Path(folder) / f"{plot.name}.{ending}")
            drawn.setdefault(plot.name, path)
            say(f"wrote {path}")
    return drawn
