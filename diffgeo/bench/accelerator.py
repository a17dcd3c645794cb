"""What a GPU or TPU makes of the program: members mapped over one device, beside PyTorch, by type and size.

For whoever has the device to run once; every case can be tried on a CPU with a small network.
"""

import contextlib
import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from diffgeo.bench.cases import endless, peak_bytes, place_members, reset_peak, torch_reference, torch_step
from diffgeo.costs.timing import seconds
from diffgeo.data.sources import source_of
from diffgeo.errors import one_line
from diffgeo.run.evaluation import accuracy
from diffgeo.settings import Grid, Settings
from diffgeo.training import Placement
from diffgeo.training.labels import own_labels

MEMBERS = (1, 8, 30)
PRECISIONS = {
    "float32": ("float32", "float32"),
    "tf32": ("float32", "tensorfloat32"),
    "bfloat16": ("bfloat16", "default"),
}
"""Name -> `model.dtype` and JAX's precision of products."""
TORCH = {"eager": {}, "compiled": {"compiled": True}, "cuda_graphs": {"compiled": "reduce-overhead"}}
"""Name -> arguments of `torch_reference.Trainer`."""
ACCURACY_STEPS, WAVE_STEPS = 5_000, 20_000
TRIAL: dict[str, Any] = {"members": (1, 2), "long": (10, 200)}
"""Arguments of `cases` that try all of it on a CPU."""
SHARDED = Placement(mapping="sharded")


@contextlib.contextmanager
def _in_precision(settings: Settings, precision: str) -> Iterator[Settings]:
    """Yield settings in a precision, within which JAX computes products by it."""
    dtype, products = PRECISIONS[precision]
    with jax.default_matmul_precision(products):
        yield dataclasses.replace(settings, model=dataclasses.replace(settings.model, dtype=dtype))


def step_case(settings: Settings, precision: str, members: int, repeats: int, steps: int) -> dict[str, Any]:
    """Measure the seconds of a step per model, of members mapped over one device, and the peak memory so far."""
    jax.clear_caches()
    reset_peak()
    with _in_precision(endless(settings), precision) as chosen:
        ensemble = place_members(chosen, members, SHARDED)

        def run() -> None:
            ensemble.losses(ensemble.train_steps(steps))

        first = seconds(run)
        one = statistics.median(seconds(run) for _ in range(repeats))
    each = one / (steps * members)
    return {"seconds": each, "members": members, "peak_bytes": peak_bytes(), "compile_seconds": first - one}


def torch_case(settings: Settings, variant: str, repeats: int, steps: int) -> dict[str, Any]:
    """Measure the seconds of a step of one PyTorch model on the same kind of device; "error" if it does not compile."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    trainer = torch_reference().Trainer(settings, device=device, fused=True, **TORCH[variant])
    try:
        timed = torch_step(trainer, steps)
    except RuntimeError as error:  # of torch.compile, whose errors are of many kinds of it
        return {"error": one_line(error), "device": device}
    return {"seconds": statistics.median(timed() for _ in range(repeats)), "members": 1, "device": device}


def evaluation_case(settings: Settings, members: int, repeats: int) -> dict[str, Any]:
    """Measure the seconds per model of sampling an evaluation's labels."""
    ensemble, labels = place_members(settings, members, SHARDED), own_labels(settings, source_of(settings).table())
    stacked = np.stack([labels] * members)

    def run() -> None:
        list(ensemble.sample(ensemble.params(), 0, stacked))

    run()
    each = statistics.median(seconds(run) for _ in range(repeats)) / members
    return {"seconds": each, "members": members, "labels": len(labels)}


def accuracy_case(settings: Settings, precision: str, steps: int) -> dict[str, Any]:
    """Train two members for some steps and measure their accuracy: what a precision costs in learning."""
    short = dataclasses.replace(settings, train=dataclasses.replace(settings.train, steps=steps))
    with _in_precision(short, precision) as chosen:
        ensemble, table = place_members(chosen, 2, SHARDED), source_of(chosen).table()
        labels = own_labels(chosen, table)
        taken = seconds(lambda: ensemble.losses(ensemble.train_steps(steps)))
        drawn = list(ensemble.sample(ensemble.params(), steps, np.stack([labels] * 2)))
    member = Grid(dataclasses.replace(chosen, axes={"seed": (0,)})).members[0]
    hits = [accuracy(member, one.images, labels, table.origin) for one in drawn]
    return {"accuracy": hits, "loss": ensemble.loss_and_nonfinite()[0].tolist(), "steps": steps, "seconds": taken}


def wave_case(settings: Settings, members: int, steps: int) -> dict[str, Any]:
    """Train one wave for the first steps of its preset, under its schedule, and report time and losses."""
    ensemble, chunk = place_members(settings, members, SHARDED), SHARDED.chunk
    calls = max(2, steps // chunk)
    ensemble.losses(ensemble.train_steps(chunk))  # compiles

    def run() -> None:
        for _ in range(calls - 2):
            ensemble.train_steps(chunk)
        ensemble.losses(ensemble.train_steps(chunk))

    taken = seconds(run)
    loss, nonfinite_step = ensemble.loss_and_nonfinite()
    return {
        "seconds": taken,
        "seconds_per_model_step": taken / ((calls - 1) * chunk * members),
        "members": members,
        "steps": calls * chunk,
        "loss": loss.tolist(),
        "nonfinite_step": nonfinite_step.tolist(),
    }


def cases(
    networks: Mapping[str, Settings],
    repeats: int,
    steps: int,
    torch: bool,
    members: Sequence[int] = MEMBERS,
    long: tuple[int, int] = (ACCURACY_STEPS, WAVE_STEPS),
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return name -> a function that measures it; those that train longest come last.

    Args:
      networks: name -> settings; of the first the accuracy is measured, of the last a wave is trained.
      repeats: measurements of each case.
      steps: training steps of a measurement.
      torch: also time PyTorch.
      members: numbers of models mapped over the device; the last is that of an evaluation and of the wave.
      long: steps of the accuracy, and of the wave.
    """
    chosen: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, settings in networks.items():
        for precision in PRECISIONS:
            for count in members:
                case = functools.partial(step_case, settings, precision, count, repeats, steps)
                chosen[f"{name}_{precision}_{count}"] = case
        for variant in TORCH if torch else ():
            chosen[f"{name}_torch_{variant}"] = functools.partial(torch_case, settings, variant, repeats, steps)
        chosen[f"{name}_evaluation"] = functools.partial(evaluation_case, settings, members[-1], repeats)
    first, last = next(iter(networks)), list(networks)[-1]
    for precision in PRECISIONS:
        case = functools.partial(accuracy_case, networks[first], precision, long[0])
        chosen[f"{first}_accuracy_{precision}"] = case
    chosen[f"{last}_wave"] = functools.partial(wave_case, networks[last], members[-1], long[1])
    return chosen
