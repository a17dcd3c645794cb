"""Evaluate every stored checkpoint of a run that its results lack, and draw its figures again.

    python -m launch.analyze --workdir=runs/p1_fig4

Models that are trained already, asked by another experiment of metrics, claims and figures, into a new folder:

    python -m launch.analyze --models=runs/p1_fig3 --experiment=interventions --workdir=runs/asked

Needs neither the run's devices nor their number. --repair sets damaged results aside (see launch.verify) and computes
them anew where their checkpoints are kept.
"""

from absl import flags

from . import program

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
EXPERIMENT = flags.DEFINE_string(
    "experiment",
    None,
    "The file that made it, if it is your own, or the experiment that measures --models: " + program.OWN_EXPERIMENT,
)
MODELS = flags.DEFINE_string(
    "models",
    None,
    "Folder of a finished run whose models --experiment measures, in --workdir, a new one: results are copied, "
    "checkpoints linked.",
)
REPAIR = flags.DEFINE_boolean("repair", False, "Set damaged results aside and compute them anew.")
LOGS = program.define_logs()


def main() -> None:
    """Read the folder's configuration and analyze it."""
    from diffgeo import growth, integrity, run
    from diffgeo.declared import experiments
    from diffgeo.errors import require
    from diffgeo.host import runtime
    from diffgeo.results.workdir import read_run
    from diffgeo.settings import Settings

    logs = LOGS()
    program.start_jax()
    given, allow_changed = [EXPERIMENT.value] if EXPERIMENT.value else [], program.ALLOW_CHANGED.value
    if MODELS.value:
        require(len(given) > 0, "--models are measured by another experiment: name it by --experiment")
        _, config = read_run(MODELS.value)
        declared = experiments.resolve(given[0])
    else:
        _, config = read_run(WORKDIR.value)
        declared = experiments.of_run(config, WORKDIR.value, given, allow_changed)
    settings = Settings.from_json(config["settings"], declared.dataset, declared.conditionings)
    asked = run.Run.of(declared, config["preset"], settings, allow_changed=allow_changed).with_logs(logs)
    if MODELS.value:
        growth.borrow(asked, MODELS.value, WORKDIR.value, provenance=runtime.provenance())
    if REPAIR.value:
        integrity.repair(asked, WORKDIR.value)
    run.analyze(asked, WORKDIR.value)


if __name__ == "__main__":
    program.run(main, program.SHARED)
