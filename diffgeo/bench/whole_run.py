"""Where the time of a run goes: training, sampling, reading out and analysis of one member, from its settings."""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffgeo import images, representation
from diffgeo.bench.cases import sample_case, train_case
from diffgeo.costs import by_hand
from diffgeo.costs.timing import seconds
from diffgeo.data.sources import source_of
from diffgeo.results.schema import readouts_of
from diffgeo.settings import Settings
from diffgeo.training.labels import own_labels


def run_case(settings: Settings, analyses: Sequence[str], repeats: int, steps: int) -> dict[str, Any]:
    """Measure each part of a run once and multiply by how often it occurs.

    Args:
      settings: of the run, whose axes are not used.
      analyses: groups of `representation.GROUPS` that measure every evaluation.
      repeats: measurements of each part.
      steps: training steps of a measurement.

    Returns:
      "steps", "evaluations", "labels" of each, "seconds" in all, and for each of "training", "sampling", "readout" and
      "analysis" NAME_seconds of one member's whole run on the cores at hand and NAME_share.
    """
    source, evaluations = source_of(settings), len(settings.evaluation_steps)
    table = source.table()
    own = own_labels(settings, table)
    labels = np.concatenate([own, source.uniform_labels(settings.evaluation.num_common, table.origin)])
    shown = images.to_uint8(source.images(labels, table.origin))
    features = int(np.prod(by_hand.layer4(settings)))
    cloud = np.random.default_rng(0).normal(size=(len(own), features)).astype(np.float32)

    def median(function: Callable[[], object]) -> float:
        function()  # packages load and compile
        return statistics.median(seconds(function) for _ in range(repeats))

    def read() -> None:
        for method in readouts_of(settings):
            source.read(shown, labels - table.origin, method)

    def analyze() -> None:
        representation.analyze(representation.gram_scores(cloud), own, settings.data.period, tuple(analyses))

    parts = {
        "training": train_case(settings, 1, repeats, steps)["seconds"] * settings.train.steps,
        "sampling": sample_case(settings, 1, repeats, torch=False)["seconds"] * evaluations,
        "readout": median(read) * evaluations,
        "analysis": median(analyze) * by_hand.CLOUDS * evaluations if analyses else 0.0,
    }
    whole = sum(parts.values())
    facts = {"steps": settings.train.steps, "evaluations": evaluations, "labels": len(labels), "seconds": whole}
    taken = {f"{name}_seconds": value for name, value in parts.items()}
    return facts | taken | {f"{name}_share": value / whole for name, value in parts.items()}


def cases(
    runs: Mapping[str, tuple[Settings, Sequence[str]]], repeats: int, steps: int
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return name -> a function that runs `run_case` of settings and analyses."""
    return {name: functools.partial(run_case, *about, repeats, steps) for name, about in runs.items()}
