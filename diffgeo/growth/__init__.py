"""Runs that grow: members added to a finished run, and finished runs joined."""

from diffgeo.growth.extend import added_values, extend
from diffgeo.growth.merge import merge

__all__ = ["added_values", "extend", "merge"]
