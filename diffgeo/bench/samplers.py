"""How many network calls a sample needs: the accuracy of a trained run, sampler by sampler."""

import dataclasses
from collections.abc import Callable, Sequence

import jax

from diffgeo import cost
from diffgeo.checkpoints import Checkpoints
from diffgeo.errors import UserError
from diffgeo.evaluation import accuracy, waves
from diffgeo.grid import Grid
from diffgeo.mapping import Layout, fetch
from diffgeo.settings import Settings
from diffgeo.workdir import Workdir

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
    workdir = Workdir(folder)
    config = workdir.read_config()
    if config is None:
        raise UserError(f"no run in {folder!r}: start one there with launch.train first")
    settings = Settings.from_json(config["settings"])
    wave = waves(Grid(settings), config["members_at_once"])[0]
    name = "ema" if settings.evaluation.use_ema else "params"
    with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
        if not checkpoints.params_steps:
            raise UserError(f"no checkpoint in {folder!r} yet: train it first")
        step = checkpoints.params_steps[-1]
        state = Layout().over(wave.members, wave.rows).abstract_state
        stacked = jax.tree.map(fetch, checkpoints.restore_params(getattr(state, name), step, name))

    def case(own: Settings) -> dict:
        chosen = [
            dataclasses.replace(one, settings=dataclasses.replace(one.settings, evaluation=own.evaluation))
            for one in wave.members[:members]
        ]
        mapped = Layout().over(chosen, wave.rows)
        drawn = mapped.sample(mapped.place(stacked), step, wave.stacked_labels)
        asked = wave.labels[: len(chosen)], wave.origins[: len(chosen)]
        found = [
            accuracy(member, one.images[: len(labels)], labels, origin)
            for member, one, labels, origin in zip(chosen, drawn, *asked, strict=True)
        ]
        told = {"members": [str(member) for member in chosen], "step": step}
        return told | {"network_calls": cost.network_calls(own), "accuracy": found}

    return {name: lambda own=own: case(own) for name, own in samplers(settings, counts).items()}
