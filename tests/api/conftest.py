"""Fixtures shared with tests of other packages."""

from tests.support.read_runs import one_device, trained

__all__ = ["one_device", "trained"]
