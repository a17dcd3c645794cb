"""Time training, sampling or analysis on this machine, on request beside the same in PyTorch.

    python -m launch.bench --suite=train [--torch] [--torch_compile] [--only=laptop_single] [--repeats=5] [--json]
    python -m launch.bench --suite=parts --presets=paper --set=train.batch_size=8 --torch
    python -m launch.bench --suite=run --experiment=p1_fig3 --presets=laptop
    python -m launch.bench --suite=accelerator --torch
    python -m launch.bench --suite=samplers --workdir=runs/p1_fig4 [--ddim=10 --ddim=20] [--members=3]

The first times a step alone and alternately with PyTorch's variants, and quotes the worst ratio; --suite=scaling does
so by batch, and by models trained together. The second shows where a training step's time goes, the third where a
run's does. The fourth is for one GPU or TPU; --presets=tiny --trial tries it anywhere. The last samples a trained run
by DDIM in several numbers of steps and by the ancestral sampler, and prints their accuracy; of the other flags it reads
--only and --json. --torch needs `pip install 'diffgeo[bench]'`. Nothing else should run meanwhile.
"""

import json
import os

from absl import flags

from . import program

SUITE = flags.DEFINE_enum(
    "suite",
    None,
    ["train", "scaling", "parts", "sample", "run", "analysis", "accelerator", "samplers"],
    "Suite to time.",
    required=True,
)
ONLY = flags.DEFINE_list("only", None, "Cases of the suite, as laptop_single,paper_grid. Default: all.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Measurements of each case, after the one that compiles.", 1)
STEPS = flags.DEFINE_integer("steps", 10, "Training steps of a measurement.", 1)
TORCH = flags.DEFINE_boolean("torch", False, "Also time PyTorch.")
TORCH_COMPILE = flags.DEFINE_boolean("torch_compile", False, "Time torch.compile, too: it compiles for minutes.")
CORES = flags.DEFINE_integer("cores", None, "Cores of this process, of those that it may use. Default: all.", 1)
EXPERIMENT = flags.DEFINE_string("experiment", "p1_fig4", "Experiment whose networks are timed.")
PRESETS = flags.DEFINE_list("presets", ["laptop", "paper"], "Its presets.")
SET = flags.DEFINE_multi_string("set", [], "A setting in place of the presets', as train.batch_size=8.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the trained run that the suite samplers draws from.")
DDIM = flags.DEFINE_multi_integer("ddim", [10, 20, 50, 100], "DDIM steps of the suite samplers; may be repeated.", 1)
MEMBERS = flags.DEFINE_integer("members", None, "Models of the run, from its first. Default: all of a wave.", 1)
TRIAL = flags.DEFINE_boolean("trial", False, "Suite accelerator with few models and steps, to see that it works.")
JSON = flags.DEFINE_boolean("json", False, "Print JSON.")


def main() -> None:
    """Run the suite and print."""
    import jax

    from diffgeo.bench import accelerator, cases, samplers, step_parts, whole_run
    from diffgeo.declared import experiments
    from diffgeo.errors import UserError, require, require_choice
    from diffgeo.host import runtime
    from diffgeo.settings import override

    if CORES.value is not None:
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        require(len(usable) >= CORES.value, f"--cores={CORES.value} exceeds the {len(usable)} that can be chosen here")
        os.sched_setaffinity(0, usable[: CORES.value])  # before JAX and PyTorch count them
    runtime.start()
    jax.config.update("jax_enable_compilation_cache", False)  # or what is read from it would pass for compiling
    if SUITE.value == "samplers":
        if WORKDIR.value is None:
            raise UserError("--suite=samplers needs --workdir, the folder of a trained run")
        chosen = samplers.cases(WORKDIR.value, DDIM.value, MEMBERS.value)
    else:
        declared = experiments.find(EXPERIMENT.value)
        networks = {preset: override(declared.settings(preset), *SET.value) for preset in PRESETS.value}
        variants = [
            *(["eager_foreach", "eager_fused"] if TORCH.value else []),
            *(["compiled"] if TORCH_COMPILE.value else []),
        ]
        how = REPEATS.value, STEPS.value, TORCH.value
        if SUITE.value == "accelerator":
            chosen = accelerator.cases(networks, *how, **(accelerator.TRIAL if TRIAL.value else {}))
        elif SUITE.value == "run":
            runs = {preset: (settings, declared.analyses) for preset, settings in networks.items()}
            chosen = whole_run.cases(runs, REPEATS.value, STEPS.value)
        elif SUITE.value == "parts":
            chosen = {}
            for preset, settings in networks.items():
                chosen |= step_parts.cases(preset, settings, *how)
        else:
            chosen = cases.cases(SUITE.value, networks, REPEATS.value, STEPS.value, variants)
    for name in ONLY.value or ():
        require_choice("case", name, chosen)
    device, timed = jax.devices()[0].device_kind, {}
    if not JSON.value:
        print(f"{SUITE.value} on {device}", flush=True)
    for name in ONLY.value or chosen:
        timed[name] = chosen[name]()
        if not JSON.value:
            print(f"{name}: " + ", ".join(f"{key} {_short(value)}" for key, value in timed[name].items()), flush=True)
    if JSON.value:
        report = {"suite": SUITE.value, "device": device, "cases": timed, "provenance": runtime.provenance()}
        print(json.dumps(report, indent=2))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    program.run(main)
