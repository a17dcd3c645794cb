"""Predict memory, time and cost of a run on a TPU pod, by compiling its real programs for it here, without one.

    python -m launch.plan --experiment=p1_fig4 --preset=paper --topology=v5e:2x4 [--json]
    python -m launch.plan --experiment=p1_fig4,p1_fig8

Several experiments are planned one after another, and a program that they share is compiled once. Needs
`pip install 'diffgeo[plan]'`; the papers' network takes the compiler minutes. --topology=host plans for this machine's
devices, at the rate of a matrix product and a copy measured on the spot.
"""

import json
import os

from absl import flags

from . import program

EXPERIMENT = program.define_paths("experiment", "Name of an experiment, see launch.list, or file.", required=True)
PRESET = flags.DEFINE_string("preset", "paper", "Its size: tiny, laptop or paper.")
TOPOLOGY = flags.DEFINE_string("topology", "v5e:2x4", "v4, v5e, v5p or v6e, with a shape as v5e:16x16; or host.")
SEEDS = flags.DEFINE_list("seeds", None, "Seeds in place of the preset's, as 0,1,2.")
SET = flags.DEFINE_multi_string("set", [], "A setting in place of the preset's, as train.batch_size=8.")
DATA_PARALLEL = flags.DEFINE_integer("data_parallel", 1, "Devices that share one member's batch.")
MEMBERS_PER_DEVICE = flags.DEFINE_integer(
    "members_per_device", None, "At most this many members at once on a device. Default: what fits."
)
REMAT = flags.DEFINE_string("remat", "none", "Rematerialization in the backward pass, to save memory: none or blocks.")
KEEP = flags.DEFINE_string("keep", None, "Checkpoints that stay, as of launch.train.")
JSON = flags.DEFINE_boolean("json", False, "Print JSON.")


def main() -> None:
    """Plan and print."""
    if TOPOLOGY.value != "host":
        os.environ["JAX_PLATFORMS"] = "cpu"  # a plan uses no accelerator of this machine
    from diffgeo.costs import chips, plan
    from diffgeo.declared import experiments
    from diffgeo.errors import UserError
    from diffgeo.run import Run
    from diffgeo.run.folder import storage_of
    from diffgeo.settings import override
    from diffgeo.training import Placement

    seeds = [] if SEEDS.value is None else [f"axes.seed={','.join(SEEDS.value)}"]
    chosen = []
    for name in EXPERIMENT():
        declared = experiments.resolve(name)
        if not declared.trained:
            raise UserError(f"{name} trains nothing: there is nothing to plan")
        chosen.append((declared, override(declared.settings(PRESET.value), *seeds, *SET.value)))
    program.start_jax()
    if TOPOLOGY.value != "host":
        # JAX stores what it compiles for a chip that is not here, and cannot read it again
        import jax

        jax.config.update("jax_enable_compilation_cache", False)
    placement = Placement("auto", None, DATA_PARALLEL.value, MEMBERS_PER_DEVICE.value, REMAT.value)
    runs = [Run.of(declared, PRESET.value, settings, placement, KEEP.value) for declared, settings in chosen]
    target = chips.target(TOPOLOGY.value, placement)
    for run in runs:
        planned = plan.plan(run.settings, target, bool(run.analyses))
        at_once = max(program["members_at_once"] for program in planned["programs"])
        storage = storage_of(run, at_once)
        if JSON.value:
            about = {"experiment": run.experiment, "preset": run.preset}
            print(json.dumps(about | planned | {"storage": storage._asdict()}, indent=2), flush=True)
        else:
            print(f"{run.experiment}, {run.preset}, {plan.as_text(planned)}\n{storage}", flush=True)


if __name__ == "__main__":
    program.run(main, program.STARTUP)
