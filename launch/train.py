"""Train an experiment's grid of models, evaluate it on the way, and draw its figures.

An experiment that trains nothing is computed and drawn.

    python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4

Started again on the same folder, it goes on where it stopped. More members of a finished run:

    python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4 --extend --seeds=3,4,5
"""

import dataclasses

from absl import flags

from . import program

EXPERIMENT = flags.DEFINE_string(
    "experiment", None, "Name of the experiment, see launch.list; or your own: " + program.OWN_EXPERIMENT, required=True
)
PRESET = flags.DEFINE_string("preset", "laptop", "Its size: tiny, laptop or paper.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; made if need be.", required=True)
SEEDS = flags.DEFINE_list("seeds", None, "Seeds in place of the preset's, as 0,1,2.")
SET = flags.DEFINE_multi_string(
    "set", [], "A setting in place of the preset's, as train.steps=2000 or axes.sigma=0.5,1."
)
MAPPING = flags.DEFINE_string("mapping", "auto", "How members are mapped over devices: auto, loop or sharded.")
STEPS_PER_CALL = flags.DEFINE_integer(
    "steps_per_call", None, "Training steps between two looks at the loss. Default: 10 by loop, 100 by sharded."
)
DATA_PARALLEL = flags.DEFINE_integer("data_parallel", 1, "Devices that share one member's batch.")
MEMBERS_PER_DEVICE = flags.DEFINE_integer(
    "members_per_device", None, "At most this many members at once on a device. Default: what fits."
)
REMAT = flags.DEFINE_string("remat", "none", "Rematerialization in the backward pass, to save memory: none or blocks.")
WAVES = flags.DEFINE_integer("waves", None, "Waves that a new run's members train in. Default: as few as fit.")
KEEP = flags.DEFINE_string(
    "keep",
    None,
    "Checkpoints that stay once they are evaluated: all, last, every:K (each K-th and the last) or analysis (the first "
    "and the last). Default: what the run has, or of a new one all if they take at most 30 GB, else last.",
)
EXTEND = flags.DEFINE_boolean(
    "extend", False, "Add members to the finished run in --workdir: those of --seeds, or of one --set=axes.NAME."
)
ANALYZE = flags.DEFINE_boolean(
    "analyze",
    True,
    "Measure the representations and draw the figures once all is trained. --noanalyze ends there, so that an "
    "accelerator is free: launch.analyze does the rest on any machine.",
)
LOGS = program.define_logs()


def main() -> None:
    """Read the flags and run the experiment."""
    from diffgeo import growth, run
    from diffgeo.costs import by_hand
    from diffgeo.declared import experiments
    from diffgeo.errors import require
    from diffgeo.host import distributed, runtime
    from diffgeo.results.workdir import read_run
    from diffgeo.settings import Settings, override
    from diffgeo.training import Placement

    logs = LOGS()
    declared = experiments.resolve(EXPERIMENT.value)
    seeds = [] if SEEDS.value is None else [f"axes.seed={','.join(SEEDS.value)}"]
    settings, added = override(declared.settings(PRESET.value), *seeds, *SET.value), {}
    require(
        ANALYZE.value or declared.trained, f"{declared.name} trains nothing to be analyzed later: leave --noanalyze out"
    )
    program.start_jax()
    if EXTEND.value:
        settings = Settings.from_json(read_run(WORKDIR.value)[1]["settings"], declared.dataset, declared.conditionings)
        added = growth.added_values(settings, [*seeds, *SET.value])
    placement = Placement(
        MAPPING.value, STEPS_PER_CALL.value, DATA_PARALLEL.value, MEMBERS_PER_DEVICE.value, REMAT.value
    )
    planned = run.Run.of(declared, PRESET.value, settings, placement, KEEP.value, program.ALLOW_CHANGED.value)
    planned = dataclasses.replace(planned, logs=logs, finish=ANALYZE.value)
    shape = " x ".join(f"{len(values)} {name}" for name, values in planned.grid.axes.items())
    size = "computed without training"
    if declared.trained:
        facts = by_hand.describe(settings, declared.trained, declared.analyses)
        common = facts["common_pflop"] / facts["sampling_pflop"]
        size = f"{shape} models, {facts['steps']:,} steps each, {common:.0%} of sampling at common labels"
    distributed.say(f"{declared.name}, preset {PRESET.value}: {size}, in {WORKDIR.value}")
    for axis, values in added.items():
        distributed.say(f"more of them: {axis}={','.join(map(str, values))}")
    if EXTEND.value:
        growth.extend(planned, WORKDIR.value, added, runtime.provenance(), WAVES.value)
    else:
        run.execute(planned, WORKDIR.value, runtime.provenance(), WAVES.value)
    if not ANALYZE.value:
        distributed.say(program.worded(f"not analyzed yet: python -m launch.analyze --workdir={WORKDIR.value}"))


if __name__ == "__main__":
    program.run(main, program.SHARED)
