"""Timings of training, sampling and analysis, compared with a matrix product and PyTorch in the same run."""

import dataclasses
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from diffgeo import representation
from diffgeo.costs import by_hand
from diffgeo.costs.timing import matrix_product, seconds
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError, require_choice
from diffgeo.settings import Grid, Settings
from diffgeo.training import Ensemble, Placement, sampling

SUITES = ("train", "scaling", "sample", "analysis")
BATCHES, MEMBERS = (2, 8, 32, 128), (1, 2, 4, 8)  # of the suite scaling
SCALED_STEPS = 3  # timed steps of PyTorch's sampling loop; the total is extrapolated
ENDLESS = 2**20  # steps; times the largest batch they stay below what `Train` allows
GRID = 8  # members of a "grid" case
POINTS, FEATURES = 1024, 16_384  # of the analysis suite: the papers' 32 x 32 grid at b = 64


def reset_peak() -> None:
    """Reset this process's peak memory, where the system can (Linux)."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def peak_bytes() -> int | None:
    """Return the peak memory since `reset_peak`: the device's if it reports any, else this process's, or None."""
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    status = Path("/proc/self/status")
    if peak is not None or not status.exists():
        return peak
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def torch_reference() -> ModuleType:
    """Import the module that needs PyTorch; raise `UserError` if PyTorch is missing."""
    try:
        from diffgeo.bench import torch_reference
    except ImportError as error:
        raise UserError("the package 'torch' is missing: pip install 'diffgeo[bench]'") from error
    return torch_reference


def pairs(ours: Callable[[], float], theirs: Callable[[], float] | None, repeats: int) -> dict[str, Any]:
    """Time both alternately; return the medians, and the median of the pairs' ratios theirs / ours.

    Args:
      ours: returns the seconds of a measurement.
      theirs: the same of PyTorch, or None.
      repeats: measurements of each.
    """
    if theirs is None:
        return {"seconds": statistics.median(ours() for _ in range(repeats)), "repeats": repeats}
    times = [(ours(), theirs()) for _ in range(repeats)]
    return {
        "seconds": statistics.median(our for our, _ in times),
        "repeats": repeats,
        "torch_seconds": statistics.median(their for _, their in times),
        "times_faster_than_torch": statistics.median(their / our for our, their in times),
    }


def against(ours: Callable[[], float], theirs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Any]:
    """Time ours and each of PyTorch's variants alone, and alternately; the worst ratio counts.

    Timed alternately in one process each may find the other's memory and threads in its way, timed alone neither does.

    Args:
      ours: returns the seconds of a measurement.
      theirs: name of a variant -> the same of it.
      repeats: measurements of each.

    Returns:
      "seconds" (ours alone) and "repeats"; for each variant "torch_NAME_seconds" (alone), "NAME_alone" and
      "NAME_alternately" (ratios theirs / ours); "times_faster_than_torch", the smallest ratio, and "worst", its name.
    """
    alone = statistics.median(ours() for _ in range(repeats))
    result: dict[str, Any] = {"seconds": alone, "repeats": repeats}
    ratios: dict[str, float] = {}
    for name, their in theirs.items():
        result[f"torch_{name}_seconds"] = statistics.median(their() for _ in range(repeats))
        ratios[f"{name}_alone"] = result[f"torch_{name}_seconds"] / alone
    for name, their in theirs.items():
        ratios[f"{name}_alternately"] = pairs(ours, their, repeats)["times_faster_than_torch"]
    if ratios:
        worst = min(ratios, key=lambda name: ratios[name])
        result |= ratios | {"times_faster_than_torch": ratios[worst], "worst": worst}
    return result


def endless(settings: Settings) -> Settings:
    """Return settings whose members do not reach their last step while they are timed: after it they do nothing."""
    return dataclasses.replace(settings, train=dataclasses.replace(settings.train, steps=ENDLESS))


def place_members(settings: Settings, members: int, placement: Placement | None = None) -> Ensemble:
    """Return this many members (seeds 0, 1, ...) on one device, at step 0."""
    grid = Grid(dataclasses.replace(settings, axes={"seed": tuple(range(members))}))
    table = source_of(settings).table()
    tables = label_tables.stack([table] * members)
    ensemble = (placement or Placement()).place(grid.members, tables, jax.devices()[:1])
    ensemble.initialize()
    return ensemble


def train_case(settings: Settings, members: int, repeats: int, steps: int, torch: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the seconds of a step per model, FLOP/s, memory, compile time.

    Args:
      settings: network, batch and step; the axes are not used.
      members: models trained together.
      repeats: measurements, after the first, which compiles.
      steps: of a measurement.
      torch: names of `torch_reference.VARIANTS` that the step of a PyTorch model is timed in, too; see `against`.
    """
    settings = endless(settings)
    jax.clear_caches()  # otherwise programs compiled by another case would shorten the compile time
    reset_peak()
    ensemble = place_members(settings, members)

    def ours() -> float:
        # `losses` waits for the steps; `train_steps` returns before they are done
        return seconds(lambda: ensemble.losses(ensemble.train_steps(steps))) / (steps * members)

    first_seconds = ours() * steps * members
    result = against(ours, {name: _torch_step(settings, name, steps) for name in torch}, repeats)
    flop = by_hand.TRAIN_PASSES * 2 * by_hand.forward_macs(settings) * settings.train.batch_size
    product = matrix_product()
    rate = flop / result["seconds"]
    return result | {
        "members": members,
        "batch": settings.train.batch_size,
        "flop_per_model_step": flop,
        "flop_per_second": rate,
        "matrix_product_flop_per_second": product,
        "share_of_matrix_product": rate / product,
        "peak_bytes": peak_bytes(),
        "compile_seconds": first_seconds - result["seconds"] * steps * members,
    }


def _torch_step(settings: Settings, variant: str, steps: int) -> Callable[[], float]:
    """Return a function that measures the seconds of a step of a PyTorch model, compiled already."""
    reference = torch_reference()
    return torch_step(reference.Trainer(settings, **reference.VARIANTS[variant]), steps)


def torch_step(trainer: Any, steps: int) -> Callable[[], float]:
    """Return a function that measures the seconds of a step of a `torch_reference.Trainer`, after its first."""

    def run(count: int) -> None:
        for _ in range(count):
            trainer.step()
        trainer.wait()

    run(1)  # compiles
    return lambda: seconds(lambda: run(steps)) / steps


def sample_case(
    settings: Settings, members: int, repeats: int, torch: bool, count: int | None = None
) -> dict[str, Any]:
    """Measure the seconds and network calls to evaluate a checkpoint, per model.

    PyTorch runs the plain loop over all timesteps; `SCALED_STEPS` of them are timed and extrapolated.

    Args:
      settings, members, repeats, torch: as of `train_case`.
      count: number of labels, instead of the settings'.
    """
    jax.clear_caches()
    reset_peak()
    ensemble = place_members(settings, members)
    size, evaluation = settings.data.size, settings.evaluation
    own = labels_drawn(evaluation.label_source, evaluation.num_samples, size, evaluation.num_samples)
    labels = count or own + evaluation.num_common
    centers = np.random.default_rng(0).uniform(0, size, (members, labels, 2)).astype(np.float32)

    def ours() -> float:
        return seconds(lambda: list(ensemble.sample(ensemble.params(), 0, centers))) / members

    first_seconds = ours() * members
    chunks, timesteps = sampling.network_calls(labels), settings.diffusion.timesteps
    theirs, torch_counts = None, {}
    if torch:
        reference = torch_reference()
        trainer = reference.Trainer(settings)
        tensors = [reference.torch.from_numpy(chunk) for chunk in np.array_split(centers[0], chunks)]
        timed = min(SCALED_STEPS, timesteps)

        def torch_seconds() -> float:
            return seconds(lambda: [trainer.denoise(chunk, timed) for chunk in tensors]) * timesteps / timed

        theirs = torch_seconds
        torch_counts = {
            "torch_network_calls": timesteps * chunks,
            "torch_timed_steps": timed,
            "torch_is_scaled": True,
        }

    result = pairs(ours, theirs, repeats) | {
        "members": members,
        "labels": labels,
        "network_calls": by_hand.network_calls(settings) * chunks,
        "peak_bytes": peak_bytes(),
    }
    return result | {"compile_seconds": first_seconds - result["seconds"] * members} | torch_counts


def analysis_cases(
    repeats: int, points: int = POINTS, features: int = FEATURES
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return name -> a function that times a part of `representation.analyze` on a noisy torus in many dimensions."""
    side = round(points**0.5)
    random = np.random.default_rng(0)
    torus = representation.clifford_torus(side, side)
    embedding = random.normal(size=(torus.shape[1], features))
    cloud = (torus @ embedding + 0.1 * random.normal(size=(len(torus), features))).astype(np.float32)
    labels = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)

    @functools.cache
    def scores() -> np.ndarray:
        return representation.gram_scores(cloud)

    def timed(function: Callable[[], object]) -> Callable[[], dict[str, Any]]:
        def case() -> dict[str, Any]:
            scores()  # computed before the measurement
            reset_peak()
            first = seconds(function)
            times = [seconds(function) for _ in range(repeats)]
            return {"first_seconds": first, "seconds": statistics.median(times), "peak_bytes": peak_bytes()}

        return case

    cases = {"gram_scores": timed(lambda: representation.gram_scores(cloud))}
    for group in representation.GROUPS:
        cases[group] = timed(lambda group=group: representation.analyze(scores(), labels, float(side), (group,)))
    return cases


def cases(
    suite: str, networks: Mapping[str, Settings], repeats: int, steps: int, torch: Sequence[str]
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the cases of a suite: name -> a function that runs it and returns plain JSON.

    Args:
      suite: one of `SUITES`.
      networks: name -> settings to time.
      repeats: measurements of each case.
      steps: training steps of a measurement.
      torch: variants of PyTorch to time, too; sampling is timed against its plain loop.

    Raises:
      UserError: for an unknown suite.
    """
    require_choice("suite", suite, SUITES)
    if suite == "analysis":
        return analysis_cases(repeats)
    chosen: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, settings in networks.items():
        if suite == "scaling":
            chosen |= _scaling(name, settings, repeats, steps, torch)
            continue
        for label, members in (("single", 1), ("grid", GRID)):
            if suite == "train":
                case = functools.partial(train_case, settings, members, repeats, steps, torch)
            else:
                case = functools.partial(sample_case, settings, members, repeats, bool(torch))
            chosen[f"{name}_{label}"] = case
    return chosen


def _scaling(
    name: str, settings: Settings, repeats: int, steps: int, torch: Sequence[str]
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return training cases of one network by batch, and by models trained together."""
    chosen: dict[str, Callable[[], dict[str, Any]]] = {}
    for batch in BATCHES:
        of_batch = dataclasses.replace(settings, train=dataclasses.replace(settings.train, batch_size=batch))
        chosen[f"{name}_batch_{batch}"] = functools.partial(train_case, of_batch, 1, repeats, steps, torch)
    for members in MEMBERS:
        chosen[f"{name}_members_{members}"] = functools.partial(train_case, settings, members, repeats, steps)
    return chosen
