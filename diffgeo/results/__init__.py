"""Results of a run: one labeled xarray Dataset on disk (zarr), its schema, its writer and its readers."""

from diffgeo.results.read import (
    data_at,
    load_results,
    open_results,
    select_scores,
    settings_of,
    settings_of_member,
    settings_tree,
)
from diffgeo.results.schema import SCORES, Analyses, Variable, template
from diffgeo.results.store import Results
from diffgeo.results.workdir import Workdir, open_workdir

__all__ = [
    "SCORES",
    "Analyses",
    "Results",
    "Variable",
    "Workdir",
    "data_at",
    "load_results",
    "open_results",
    "open_workdir",
    "select_scores",
    "settings_of",
    "settings_of_member",
    "settings_tree",
    "template",
]
