"""Trains an experiment's grid of models, evaluates it on the way, and draws its figures.

An experiment that trains nothing is computed and drawn.

    python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4

Started again on the same folder, it goes on where it stopped.
"""

from absl import flags

from launch import program

EXPERIMENT = flags.DEFINE_string("experiment", None, "Name of the experiment; see launch.list.", required=True)
PRESET = flags.DEFINE_string("preset", "laptop", "Its size: tiny, laptop or paper.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; made if need be.", required=True)
SEEDS = flags.DEFINE_list("seeds", None, "Seeds in place of the preset's, as 0,1,2.")
SET = flags.DEFINE_multi_string(
    "set", [], "A setting in place of the preset's, as train.steps=2000 or axes.sigma=0.5,1."
)
MAPPING = flags.DEFINE_string("mapping", "auto", "How members are mapped over devices: auto, loop or sharded.")
STEPS_PER_CALL = flags.DEFINE_integer("steps_per_call", None, "Training steps between two looks at the loss.")
DATA_PARALLEL = flags.DEFINE_integer("data_parallel", 1, "Devices that share one member's batch.")
MEMBERS_PER_DEVICE = flags.DEFINE_integer("members_per_device", None, "At most so many members at once on a device.")
REMAT = flags.DEFINE_string("remat", "none", "What the backward pass computes again to save memory: none or blocks.")
WAVES = flags.DEFINE_integer("waves", None, "Waves that a new run's members train in. Default: as few as fit.")


def start(experiment: str, preset: str, workdir: str) -> None:
    """Trains in a folder; the other flags are read here."""
    import experiments
    from diffgeo import processes, run, settings, untrained
    from diffgeo.mapping import Layout

    declared = experiments.find(experiment)
    seeds = [] if SEEDS.value is None else [f"axes.seed={','.join(SEEDS.value)}"]
    chosen = settings.override(declared.settings(preset), *seeds, *SET.value)
    program.start_jax()
    layout = Layout(MAPPING.value, STEPS_PER_CALL.value, DATA_PARALLEL.value, MEMBERS_PER_DEVICE.value, REMAT.value)
    planned = run.Run(experiment, preset, chosen, layout, declared.analyses)
    if declared.compute is not None:
        if not processes.leave():
            return
        processes.say(f"{experiment}, preset {preset}: computed without training, in {workdir}")
        untrained.compute(planned, workdir, declared.compute, declared.plots, program.provenance())
        return
    shape = " x ".join(f"{len(values)} {name}" for name, values in planned.grid.axes.items())
    processes.say(f"{experiment}, preset {preset}: {shape} models, {chosen.train.steps:,} steps each, in {workdir}")
    run.train(planned, workdir, declared.plots, program.provenance(), WAVES.value)


def main() -> None:
    """Reads the flags and trains."""
    start(EXPERIMENT.value, PRESET.value, WORKDIR.value)


if __name__ == "__main__":
    program.run(main)
