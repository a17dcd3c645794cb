"""How many network calls a sample needs: the accuracy of a trained run, sampler by sampler."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax

from diffgeo.costs import by_hand
from diffgeo.errors import UserError
from diffgeo.results.workdir import read_run
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.run.evaluation import accuracy
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Grid, Settings
from diffgeo.training import Placement, stack_trees

ANCESTRAL = "ancestral"


def samplers(settings: Settings, counts: Sequence[int]) -> dict[str, Settings]:
    """Settings that sample by DDIM in each number of steps, then by the ancestral sampler in all: name -> settings."""
    wanted = {f"ddim_{count}": {"sampler": "ddim", "sampler_steps": count} for count in counts}
    wanted[ANCESTRAL] = {"sampler": ANCESTRAL}
    return {
        name: dataclasses.replace(settings, evaluation=dataclasses.replace(settings.evaluation, **fields))
        for name, fields in wanted.items()
    }


def cases(folder: str, counts: Sequence[int], members: int | None = None) -> dict[str, Callable[[], dict]]:
    """Each of `samplers` on the newest checkpoint of a run's first wave, from the same noise: name -> what runs it.

    A case gives "accuracy" (one a member, at its evaluation labels), "network_calls" of a sample, "members", the
    training "step".

    Args:
      folder: the run's.
      counts: DDIM steps.
      members: how many of the wave, from its first; None takes all.

    Raises:
      UserError: if the folder holds no run, or one without checkpoints.
    """
    workdir, config = read_run(folder)
    settings = Settings.from_json(config["settings"])
    grid = Grid(settings)
    wave = plan_waves(grid, build_tables(grid), config["members_at_once"])[0]
    name = "ema" if settings.evaluation.use_ema else "params"
    chosen = range(len(wave.members[:members]))
    with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
        if not checkpoints.params_steps:
            raise UserError(f"no checkpoint in {folder!r} yet: train it first")
        step = checkpoints.params_steps[-1]
        stacked = stack_trees([checkpoints.read_member(index, step, name) for index in chosen])

    def case(own: Settings) -> dict:
        drawn_by = [
            dataclasses.replace(one, settings=dataclasses.replace(one.settings, evaluation=own.evaluation))
            for one in wave.members[:members]
        ]
        tables = jax.tree.map(lambda x: x[: len(drawn_by)], wave.tables)
        ensemble = Placement().place(drawn_by, tables)
        labels = wave.stacked_labels[: len(drawn_by)]
        sampled = ensemble.sample(ensemble.device_put(stacked), step, labels)
        scores = [
            accuracy(member, one.images[: len(wave.labels[i])], wave.labels[i], wave.origin(i))
            for i, (member, one) in enumerate(zip(drawn_by, sampled, strict=True))
        ]
        about = {"members": [str(member) for member in drawn_by], "step": step}
        return about | {"network_calls": by_hand.network_calls(own), "accuracy": scores}

    return {name: functools.partial(case, own) for name, own in samplers(settings, counts).items()}
