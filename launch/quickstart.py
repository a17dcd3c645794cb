"""The first thing to run: 2 increments x 2 seeds of small models trained from scratch to a figure, in minutes.

python -m launch.quickstart
"""

from absl import flags

from . import program

WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "Folder of the run; made if need be.")
LOGS = program.define_logs()


def main() -> None:
    """Train the quickstart's models and draw its figures."""
    from diffgeo import run
    from diffgeo.declared import experiments
    from diffgeo.host import distributed, runtime

    logs = LOGS()
    program.start_jax()
    distributed.say(
        "Training 4 small diffusion models (2 increments x 2 seeds) to draw one Gaussian bump at a given (x, y)."
    )
    planned = run.Run.of(experiments.find("quickstart"), "laptop").with_logs(logs)
    run.execute(planned, WORKDIR.value, runtime.provenance())


if __name__ == "__main__":
    program.run(main, program.STARTUP)
