"""Tells what a run takes on a TPU pod, by compiling its real programs for it here, without one.

    python -m launch.plan --experiment=p1_fig4 --preset=paper --topology=v5e:2x4 [--json]

Needs `pip install 'diffgeo[plan]'`; the papers' network takes the compiler minutes. --topology=host plans for this
machine's devices, at the rate of a matrix product and a copy measured on the spot.
"""

import json
import os

from absl import flags

from launch import program

EXPERIMENT = flags.DEFINE_string("experiment", None, "Name of the experiment; see launch.list.", required=True)
PRESET = flags.DEFINE_string("preset", "paper", "Its size: tiny, laptop or paper.")
TOPOLOGY = flags.DEFINE_string("topology", "v5e:2x4", "v4, v5e, v5p or v6e, with a shape as v5e:16x16; or host.")
SEEDS = flags.DEFINE_list("seeds", None, "Seeds in place of the preset's, as 0,1,2.")
SET = flags.DEFINE_multi_string("set", [], "A setting in place of the preset's, as train.batch=8.")
DATA_PARALLEL = flags.DEFINE_integer("data_parallel", 1, "Devices that share one member's batch.")
MEMBERS_PER_DEVICE = flags.DEFINE_integer(
    "members_per_device", None, "Members at once on a device. Default: what fits."
)
REMAT = flags.DEFINE_string("remat", "none", "What the backward pass computes again to save memory: none or blocks.")
JSON = flags.DEFINE_boolean("json", False, "Print JSON.")


def main() -> None:
    """Plans and prints."""
    if TOPOLOGY.value != "host":
        # a plan uses no accelerator of this machine, and asks no cloud for its own
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["TPU_SKIP_MDS_QUERY"] = "1"
        os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # several plans at a time: none of them holds a TPU
    import experiments
    from diffgeo import plan, settings
    from diffgeo.errors import UserError
    from diffgeo.mapping import Layout

    declared = experiments.find(EXPERIMENT.value)
    if declared.compute is not None:
        raise UserError(f"{declared.name} trains nothing: there is nothing to plan")
    seeds = [] if SEEDS.value is None else [f"axes.seed={','.join(SEEDS.value)}"]
    chosen = settings.override(declared.settings(PRESET.value), *seeds, *SET.value)
    program.start_jax()
    layout = Layout("auto", None, DATA_PARALLEL.value, MEMBERS_PER_DEVICE.value, REMAT.value)
    aim = plan.target(TOPOLOGY.value, layout)
    told = {"experiment": declared.name, "preset": PRESET.value} | plan.plan(chosen, aim, bool(declared.analyses))
    print(json.dumps(told, indent=2) if JSON.value else f"{declared.name}, {PRESET.value}, {plan.as_text(told)}")


if __name__ == "__main__":
    program.run(main)
