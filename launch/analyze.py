"""Evaluate every stored checkpoint of a run that its results lack, and draw its figures again.

    python -m launch.analyze --workdir=runs/p1_fig4

Needs neither the run's devices nor their number.
"""

from absl import flags

from launch import program

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def main() -> None:
    """Read the folder's configuration and analyze it."""
    import experiments
    from diffgeo import run
    from diffgeo.results.workdir import read_run
    from diffgeo.settings import Settings

    program.start_jax()
    _, config = read_run(WORKDIR.value)
    declared = experiments.find(config["experiment"])
    settings = Settings.from_json(config["settings"], declared.dataset)
    run.analyze(run.Run.of(declared, config["preset"], settings), WORKDIR.value)


if __name__ == "__main__":
    program.run(main)
