"""Runs that grow: members added to a finished run, finished runs joined, and measured by another experiment."""

from diffgeo.growth.borrow import borrow
from diffgeo.growth.extend import added_values, extend
from diffgeo.growth.merge import merge

__all__ = ["added_values", "borrow", "extend", "merge"]
