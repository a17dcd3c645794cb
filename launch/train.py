"""Train an experiment's grid of models, evaluate it on the way, and draw its figures.

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
MEMBERS_PER_DEVICE = flags.DEFINE_integer("members_per_device", None, "At most this many members at once on a device.")
REMAT = flags.DEFINE_string("remat", "none", "Rematerialization in the backward pass, to save memory: none or blocks.")
WAVES = flags.DEFINE_integer("waves", None, "Waves that a new run's members train in. Default: as few as fit.")


def main() -> None:
    """Read the flags and run the experiment."""
    import experiments
    from diffgeo import run
    from diffgeo.costs import by_hand
    from diffgeo.host import distributed, runtime
    from diffgeo.settings import override
    from diffgeo.training import Placement

    declared = experiments.find(EXPERIMENT.value)
    seeds = [] if SEEDS.value is None else [f"axes.seed={','.join(SEEDS.value)}"]
    settings = override(declared.settings(PRESET.value), *seeds, *SET.value)
    program.start_jax()
    placement = Placement(
        MAPPING.value, STEPS_PER_CALL.value, DATA_PARALLEL.value, MEMBERS_PER_DEVICE.value, REMAT.value
    )
    planned = run.Run.of(declared, PRESET.value, settings, placement)
    shape = " x ".join(f"{len(values)} {name}" for name, values in planned.grid.axes.items())
    size = "computed without training"
    if declared.trained:
        facts = by_hand.describe(settings, declared.trained, declared.analyses)
        common = facts["common_pflop"] / facts["sampling_pflop"]
        size = f"{shape} models, {settings.train.steps:,} steps each, {common:.0%} of sampling at common labels"
    distributed.say(f"{declared.name}, preset {PRESET.value}: {size}, in {WORKDIR.value}")
    run.execute(planned, WORKDIR.value, runtime.provenance(), WAVES.value)


if __name__ == "__main__":
    program.run(main)
