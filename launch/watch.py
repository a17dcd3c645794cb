"""Show the progress of a run from another terminal, or another machine that sees its folder.

    python -m launch.watch runs/p1_fig4
    python -m launch.watch runs/p1_fig4 --once

Shows what the run is doing, its time left, its newest evaluations and figures, until it ends. Reads files alone: it
takes no lock, writes nothing, and needs no accelerator.
"""

import sys
import time

from absl import flags

from . import program

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; may be given without --workdir=.")
ONCE = flags.DEFINE_boolean("once", False, "Show it once and exit.")
EVERY = flags.DEFINE_float("every", 5.0, "Seconds between two looks.", 0.1)

CLEAR = "\x1b[H\x1b[2J"
"""Clears a terminal."""


def main(folder: str | None = None) -> None:
    """Show the run until it ends."""
    from diffgeo.errors import UserError
    from diffgeo.report import watch

    given = [one for one in (folder, WORKDIR.value) if one is not None]
    if len(given) != 1:
        raise UserError(f"launch.watch shows one run, and {len(given)} folders are given: give one, as runs/p1_fig4")
    shown = None
    while True:
        last = ONCE.value or watch.ended(given[0])
        text = watch.describe(given[0])
        if text != shown:
            print((CLEAR if sys.stdout.isatty() and not ONCE.value else "") + text, flush=True)
            shown = text
        if last:
            return
        time.sleep(EVERY.value)


if __name__ == "__main__":
    program.run(main, positional=1)
