"""Check that everything a run has stored is what was written: configuration, checkpoints, results.

    python -m launch.verify --workdir=runs/p1_fig4

Says what is sound, names what is damaged, and exits with status 2 if anything is. A damaged checkpoint is set aside
when the run goes on; damaged results are computed anew by launch.analyze --repair. A summary (.zip) can be checked,
too. Nothing is written. Needs no accelerator.
"""

from absl import flags

from . import program

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run, or a summary file.", required=True)


def main() -> None:
    """Verify and print."""
    from diffgeo import integrity

    integrity.verify(WORKDIR.value)


if __name__ == "__main__":
    program.run(main)
