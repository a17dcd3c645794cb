"""A grid: axes -> members, their coordinates, keys and compiled programs."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffgeo.errors import UserError, require
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

    def waves_of(self, config: Mapping[str, Any]) -> list[list[Member]]:
        """Members of each wave of a run of this grid, by its configuration, in the order of their checkpoints.

        Args:
          config: with "waves", every wave's members by their coordinates, if the run has grown; otherwise with
            "members_at_once". With neither, a wave is all members of a program.

        Raises:
          UserError: if "waves" are not those of the grid.
        """
        if "waves" not in config:
            return self.waves(config.get("members_at_once"))
        known = {tuple(member.coordinates.values()): member for member in self.members}
        try:
            waves = [[known[tuple(point)] for point in wave] for wave in config["waves"]]
        except (KeyError, TypeError) as error:
            raise UserError(f"the run's configuration lists a wave of a member that it has not: {error}") from error
        listed = {member.index for wave in waves for member in wave}
        left_out = set(range(len(known))) - listed
        require(not left_out, f"the run's configuration lists waves that leave out members {sorted(left_out)}")
        return waves
