"""Labels that a member's evaluations sample."""

import numpy as np

from diffgeo.data.evaluation_labels import evaluation_labels
from diffgeo.data.label_tables import LabelTable
from diffgeo.data.sources import source_of
from diffgeo.settings import Settings
from diffgeo.training.keys import member_key, stream


def own_labels(settings: Settings, table: LabelTable) -> np.ndarray:
    """Return float32[S, K], the labels that the member of these settings, with this table, is sampled at."""
    evaluation, key = settings.evaluation, stream(member_key(settings.axes["seed"][0]), "labels")
    if evaluation.label_source == "uniform":
        return source_of(settings).uniform_labels(evaluation.num_samples, table.origin)
    labels = evaluation_labels(table, key, evaluation.label_source, evaluation.num_samples, settings.data.size)
    return labels.astype(np.float32)
