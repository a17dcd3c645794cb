"""How fast it is: training, sampling and analysis timed, beside a matrix product and PyTorch in the same run."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from diffgeo import representation
from diffgeo.costs import by_hand
from diffgeo.costs.timing import matrix_product, seconds
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.errors import UserError, suggestion
from diffgeo.settings import Grid, Settings
from diffgeo.training import Ensemble, Placement, sampling

SUITES = ("train", "sample", "analysis")
SCALED_STEPS = 3  # steps of PyTorch's sampling loop that are timed; the rest is scaled
GRID = 8  # members of a grid
POINTS, FEATURES = 1024, 16_384  # of the analysis suite: the papers' 32 x 32 grid at b = 64


def reset_peak() -> None:
    """Forgets this process's peak of memory, where the system can (Linux)."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def peak_bytes() -> int | None:
    """Peak of memory since `reset_peak`: of the device where it tells, else of this process; None if neither does."""
    told = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    status = Path("/proc/self/status")
    if told is not None or not status.exists():
        return told
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def torch_reference():
    """The module that needs PyTorch; raises `UserError` without."""
    try:
        from diffgeo.bench import torch_reference
    except ImportError as error:
        raise UserError("the package 'torch' is missing: pip install 'diffgeo[bench]'") from error
    return torch_reference


def pairs(ours: Callable[[], float], theirs: Callable[[], float] | None, repeats: int) -> dict:
    """Both timed alternately: medians, and the median of the pairs' ratios theirs / ours."""
    times = [(ours(), theirs() if theirs else None) for _ in range(repeats)]
    told = {"seconds": statistics.median(one for one, _ in times), "repeats": repeats}
    if theirs:
        told["torch_seconds"] = statistics.median(other for _, other in times)
        told["times_faster_than_torch"] = statistics.median(other / one for one, other in times)
    return told


def _ensemble(settings: Settings, members: int) -> Ensemble:
    """Return this many members (seeds 0, 1, ...) on one device, at step 0."""
    grid = Grid(dataclasses.replace(settings, axes={"seed": tuple(range(members))}))
    table = label_tables.build_label_table(settings.data)
    tables = label_tables.stack([table] * members)
    ensemble = Placement().place(grid.members, tables, jax.devices()[:1])
    ensemble.initialize()
    return ensemble


def train_case(settings: Settings, members: int, repeats: int, steps: int, torch: bool) -> dict:
    """Seconds of a model-step of so many models, FLOP/s, memory, compile time.

    Args:
      settings: network, batch and step; the axes are not used.
      members: models trained together.
      repeats: measurements, after the one that compiles.
      steps: of a measurement.
      torch: also time one PyTorch model's step, alternately.
    """
    jax.clear_caches()  # or what another case compiled would pass for compiling
    reset_peak()
    ensemble = _ensemble(settings, members)

    def advance():
        # the losses are there when the steps are done; `train_steps` itself returns before
        return seconds(lambda: ensemble.losses(ensemble.train_steps(steps))) / (steps * members)

    compiling = advance() * steps * members
    theirs = None
    if torch:
        trainer = torch_reference().Trainer(settings)
        trainer.step()

        def theirs():
            return seconds(lambda: [trainer.step() for _ in range(steps)]) / steps

    told = pairs(advance, theirs, repeats)
    flop = by_hand.TRAIN_PASSES * 2 * by_hand.forward_macs(settings) * settings.train.batch_size
    product = matrix_product()
    rate = flop / told["seconds"]
    return told | {
        "members": members,
        "batch": settings.train.batch_size,
        "flop_per_model_step": flop,
        "flop_per_second": rate,
        "matrix_product_flop_per_second": product,
        "share_of_matrix_product": rate / product,
        "peak_bytes": peak_bytes(),
        "compile_seconds": compiling - told["seconds"] * steps * members,
    }


def sample_case(settings: Settings, members: int, repeats: int, torch: bool, count: int | None = None) -> dict:
    """Seconds and network calls to evaluate a checkpoint of so many models, per model.

    PyTorch's is the plain loop over all timesteps; `SCALED_STEPS` of them are timed and scaled to all.

    Args:
      settings, members, repeats, torch: as `train_case`'s.
      count: labels in place of the settings'.
    """
    jax.clear_caches()
    reset_peak()
    ensemble = _ensemble(settings, members)
    size, evaluation = settings.data.size, settings.evaluation
    labels = count or labels_drawn(evaluation.label_source, evaluation.num_samples, size, evaluation.num_samples)
    at = np.random.default_rng(0).uniform(0, size, (members, labels, 2)).astype(np.float32)

    def ours():
        return seconds(lambda: list(ensemble.sample(ensemble.params(), 0, at))) / members

    compiling = ours() * members
    theirs = None
    timesteps = settings.diffusion.timesteps
    timed = min(SCALED_STEPS, timesteps)
    if torch:
        reference = torch_reference()
        trainer = reference.Trainer(settings)
        tensors = [reference.torch.from_numpy(part) for part in np.array_split(at[0], sampling.network_calls(labels))]

        def theirs():
            return seconds(lambda: [trainer.denoise(part, timed) for part in tensors]) * timesteps / timed

    told = pairs(ours, theirs, repeats) | {
        "members": members,
        "labels": labels,
        "network_calls": by_hand.network_calls(settings) * sampling.network_calls(labels),
        "peak_bytes": peak_bytes(),
    }
    told["compile_seconds"] = compiling - told["seconds"] * members
    if torch:
        told |= {"torch_network_calls": timesteps * len(tensors), "torch_timed_steps": timed, "torch_is_scaled": True}
    return told


def analysis_cases(repeats: int, points: int = POINTS, features: int = FEATURES) -> dict[str, Callable[[], dict]]:
    """Each part of `representation.analyze` on a noisy torus in many dimensions: name -> what times it."""
    side = round(points**0.5)
    random = np.random.default_rng(0)
    torus = representation.clifford_torus(side, side)
    into = random.normal(size=(torus.shape[1], features))
    cloud = (torus @ into + 0.1 * random.normal(size=(len(torus), features))).astype(np.float32)
    labels = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)
    found: dict[str, np.ndarray] = {}

    def scores():
        if "pca_scores" not in found:
            found["pca_scores"] = representation.gram_scores(cloud)
        return found["pca_scores"]

    def timed(function) -> Callable[[], dict]:
        def case():
            scores()
            reset_peak()
            first = seconds(function)
            times = [seconds(function) for _ in range(repeats)]
            return {"first_seconds": first, "seconds": statistics.median(times), "peak_bytes": peak_bytes()}

        return case

    cases = {"gram_scores": timed(lambda: representation.gram_scores(cloud))}
    for group in representation.GROUPS:
        cases[group] = timed(lambda group=group: representation.analyze(scores(), labels, float(side), (group,)))
    return cases


def cases(suite: str, networks: Mapping[str, Settings], repeats: int, steps: int, torch: bool) -> dict:
    """The cases of a suite: name -> a function that runs it and returns plain JSON.

    Args:
      suite: one of `SUITES`.
      networks: name -> settings to time.
      repeats: measurements of each case.
      steps: training steps of a measurement.
      torch: also time PyTorch.

    Raises:
      UserError: for an unknown suite.
    """
    if suite not in SUITES:
        raise UserError(f"unknown suite {suite!r}{suggestion(suite, SUITES)}")
    if suite == "analysis":
        return analysis_cases(repeats)
    found: dict[str, Callable[[], dict]] = {}
    for name, settings in networks.items():
        for members in (1, GRID):
            label = f"{name}_{'single' if members == 1 else 'grid'}"
            if suite == "train":
                found[label] = lambda s=settings, m=members: train_case(s, m, repeats, steps, torch)
            else:
                found[label] = lambda s=settings, m=members: sample_case(s, m, repeats, torch)
    return found
