"""Evaluates every stored checkpoint of a run that its results lack, and draws its figures again.

    python -m launch.analyze --workdir=runs/p1_fig4

Needs neither the run's devices nor their number.
"""

from absl import flags

from launch import program

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def main() -> None:
    """Reads the folder's configuration and analyses it."""
    import experiments
    from diffgeo import processes, run, untrained
    from diffgeo.errors import UserError
    from diffgeo.settings import Settings
    from diffgeo.workdir import Workdir

    config = Workdir(WORKDIR.value).read_config()
    if config is None:
        raise UserError(f"no run in {WORKDIR.value!r}: start one there with launch.train first")
    program.start_jax()
    declared = experiments.find(config["experiment"])
    settings = Settings.from_json(config["settings"])
    planned = run.Run(declared.name, config["preset"], settings, analyses=declared.analyses)
    if declared.compute is not None:
        if not processes.leave():
            return
        untrained.compute(planned, WORKDIR.value, declared.compute, declared.plots)
        return
    run.analyze(planned, WORKDIR.value, declared.plots)


if __name__ == "__main__":
    program.run(main)
