"""The first thing to run: 2 increments x 2 seeds of small models trained from scratch to a figure, in minutes.

python -m launch.quickstart
"""

from absl import flags

from launch import program

WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "Folder of the run; made if need be.")


def main() -> None:
    """Trains the quickstart's models and draws its figures."""
    import experiments
    from diffgeo import processes, run

    program.start_jax()
    declared = experiments.find("quickstart")
    planned = run.Run(declared.name, "laptop", declared.settings("laptop"))
    processes.say(
        "Training 4 small diffusion models (2 increments x 2 seeds) to draw one Gaussian bump at a given (x, y)."
    )
    run.train(planned, WORKDIR.value, declared.plots, program.provenance())


if __name__ == "__main__":
    program.run(main)
