"""A grid: axes -> members, their coordinates, keys and compiled programs."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffgeo.settings.schema import Settings


@dataclass(frozen=True)
class Member:
    """One model of a grid.

    Attributes:
      index: position in the grid, row-major in the order of the axes.
      coordinates: axis name -> value.
      settings: the settings with these values written in.
    """

    index: int
    coordinates: Mapping[str, object]
    settings: Settings

    @property
    def seed(self) -> int:
        """The member's seed."""
        return self.settings.axes["seed"][0]

    def __str__(self):
        return ", ".join(f"{name}={value}" for name, value in self.coordinates.items())


@dataclass(frozen=True)
class Grid:
    """All members of a run, and which of them share a compiled program."""

    settings: Settings

    @property
    def axes(self) -> Mapping[str, tuple[Any, ...]]:
        """Axis name -> values, in the order of the results' dims."""
        return self.settings.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def members(self) -> list[Member]:
        """All members, row-major in the order of the axes."""
        points = itertools.product(*self.axes.values())
        named = (dict(zip(self.axes, point, strict=True)) for point in points)
        return [Member(i, coordinates, self.settings.at(**coordinates)) for i, coordinates in enumerate(named)]

    @property
    def programs(self) -> list[list[Member]]:
        """Members grouped by the values of the static axes: one compiled program a group."""
        groups: dict[tuple, list[Member]] = {}
        static = [name for name in self.axes if self.settings.is_static(name)]
        for member in self.members:
            groups.setdefault(tuple(member.coordinates[name] for name in static), []).append(member)
        return list(groups.values())

    def waves(self, members_at_once: int | None = None) -> list[list[Member]]:
        """Members that train together: each program's members, at most `members_at_once` at a time."""
        waves = []
        for group in self.programs:
            width = members_at_once or len(group)
            waves += [group[start : start + width] for start in range(0, len(group), width)]
        return waves
