"""Run every experiment of a preset, report each, and skip what is done.

    python -m launch.reproduce --preset=laptop --workdir=runs

Started again after a stop or a kill, it goes on where it was; a signal is answered as by launch.train.
"""

from absl import flags

from . import program

PRESET = flags.DEFINE_string("preset", "laptop", "Size of all experiments: tiny, laptop or paper.")
WORKDIR = flags.DEFINE_string("workdir", None, "Parent of the runs' folders; made if need be.", required=True)
EXPERIMENT = program.define_paths("experiment", "One to run: a name or file. Default: all built-in ones.")
LOGS = program.define_logs()
flags.DEFINE_alias("experiments", "experiment")  # its name in earlier versions


def main() -> None:
    """Read the flags and reproduce."""
    from diffgeo.declared import experiments
    from diffgeo.host import runtime
    from diffgeo.run import reproduce

    logs = LOGS()
    chosen = [experiments.resolve(name) for name in EXPERIMENT() or experiments.names()]
    if not any(PRESET.value in declared.presets for declared in chosen):
        chosen[0].settings(PRESET.value)  # says which presets there are
    program.start_jax()
    reproduce.reproduce(chosen, PRESET.value, WORKDIR.value, runtime.provenance, logs)


if __name__ == "__main__":
    program.run(main, program.STARTUP)
