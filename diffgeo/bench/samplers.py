"""Accuracy of a trained run by sampler and number of network calls."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from diffgeo.costs import by_hand
from diffgeo.errors import UserError
from diffgeo.results.checkpoint_files import read_member, stored_steps
from diffgeo.results.workdir import read_run
from diffgeo.run.evaluation import accuracy
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Grid, Settings
from diffgeo.training import Placement, stack_trees

ANCESTRAL = "ancestral"


def samplers(settings: Settings, counts: Sequence[int]) -> dict[str, Settings]:
    """Return name -> settings that sample by DDIM in each number of steps, then by the ancestral sampler."""
    variants: dict[str, dict[str, Any]] = {f"ddim_{n}": {"sampler": "ddim", "sampler_steps": n} for n in counts}
    variants[ANCESTRAL] = {"sampler": ANCESTRAL}
    return {
        name: dataclasses.replace(settings, evaluation=dataclasses.replace(settings.evaluation, **fields))
        for name, fields in variants.items()
    }


def cases(folder: str, counts: Sequence[int], members: int | None = None) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return name -> a function that runs a sampler on the newest checkpoint of a run's first wave, on the same noise.

    A case returns "accuracy" (of each member, at its evaluation labels), "network_calls" of a sample, "members", and
    the training "step".

    Args:
      folder: of the run.
      counts: numbers of DDIM steps.
      members: use this many members of the wave, from the first; None uses all.

    Raises:
      UserError: if the folder holds no run, or a run without checkpoints.
    """
    workdir, config = read_run(folder)
    settings = Settings.from_json(config["settings"])
    grid = Grid(settings)
    wave = plan_waves(grid, build_tables(grid), config)[0]
    chosen = wave.members[:members]
    stored = workdir.checkpoints(wave.index)
    steps = stored_steps(stored)
    if not steps:
        raise UserError(f"no checkpoint in {folder!r} yet: train it first")
    step = steps[-1]
    name = "ema" if settings.evaluation.use_ema else "params"
    stacked = stack_trees([read_member(stored, index, step, name) for index in range(len(chosen))])

    def case(variant: Settings) -> dict[str, Any]:
        variants = [
            dataclasses.replace(member, settings=dataclasses.replace(member.settings, evaluation=variant.evaluation))
            for member in chosen
        ]
        ensemble = Placement().place(variants, jax.tree.map(lambda x: x[: len(chosen)], wave.tables))
        sampled = ensemble.sample(ensemble.device_put(stacked), step, wave.stacked_labels[: len(chosen)])
        return {
            "members": [str(member) for member in variants],
            "step": step,
            "network_calls": by_hand.network_calls(variant),
            "accuracy": [
                accuracy(member, samples.images[: len(wave.labels[i])], wave.labels[i], wave.origin(i))
                for i, (member, samples) in enumerate(zip(variants, sampled, strict=True))
            ],
        }

    return {name: functools.partial(case, variant) for name, variant in samplers(settings, counts).items()}
