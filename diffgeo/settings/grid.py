"""A grid: axes -> members, their coordinates, keys and compiled programs."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
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
    def labels(self) -> dict[str, Any]:
        """Axis name -> value as results have it: NaN for None."""
        return {name: math.nan if value is None else value for name, value in self.coordinates.items()}

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
    def evaluation_steps(self) -> tuple[int, ...]:
        """Steps after which some member is evaluated, ascending."""
        return tuple(sorted({step for member in self.members for step in member.settings.evaluation_steps}))

    @property
    def programs(self) -> list[list[Member]]:
        """Members grouped by what is static of their settings: one compiled program a group."""
        static = [name for name in self.axes if self.settings.is_static(name)]
        return self._grouped(lambda m: (m.settings.program.ema, *(m.coordinates[name] for name in static)))

    def _grouped(self, key: Callable[[Member], Hashable]) -> list[list[Member]]:
        groups: dict[Hashable, list[Member]] = {}
        for member in self.members:
            groups.setdefault(key(member), []).append(member)
        return list(groups.values())

    def waves(self, members_at_once: int | None = None) -> list[list[Member]]:
        """Members that train together: each program's members, at most `members_at_once` at a time."""
        return _cut(self.programs, members_at_once)

    def waves_of(self, config: Mapping[str, Any]) -> list[list[Member]]:
        """Members of each wave of a run of this grid, by its configuration, in the order of their checkpoints.

        Args:
          config: with "waves", every wave's members by their coordinates, if the run has grown or sweeps a number of
            `Train`; otherwise with "members_at_once", None for all that share a value of each static axis: to versions
            that wrote no "waves" all of `Train` was static.

        Raises:
          UserError: if "waves" are not those of the grid.
        """
        if "waves" not in config:
            static = [name for name in self.axes if self.settings.is_static(name) or self._is_of_train(name)]
            groups = self._grouped(lambda m: tuple(m.coordinates[name] for name in static))
            return _cut(groups, config.get("members_at_once"))
        known = {tuple(member.coordinates.values()): member for member in self.members}
        try:
            waves = [[known[tuple(point)] for point in wave] for wave in config["waves"]]
        except (KeyError, TypeError) as error:
            raise UserError(f"the run's configuration lists a wave of a member that it has not: {error}") from error
        listed = {member.index for wave in waves for member in wave}
        left_out = set(range(len(known))) - listed
        require(not left_out, f"the run's configuration lists waves that leave out members {sorted(left_out)}")
        return waves

    def _is_of_train(self, axis: str) -> bool:
        return axis != "seed" and self.settings.section_of(axis) == "train"

    def listed(self, waves: Iterable[Sequence[Member]]) -> list[list[list[Any]]]:
        """Return waves as a configuration's "waves" has them."""
        return [[list(member.coordinates.values()) for member in wave] for wave in waves]

    def described(self, members_at_once: int) -> dict[str, Any]:
        """Return the entries of a new run's configuration by which `waves_of` finds `waves(members_at_once)`."""
        config: dict[str, Any] = {"members_at_once": members_at_once}
        swept = any(map(self._is_of_train, self.axes))
        return config | ({"waves": self.listed(self.waves(members_at_once))} if swept else {})


def _cut(groups: Sequence[list[Member]], at_once: int | None) -> list[list[Member]]:
    """Cut each group into waves of at most so many members."""
    return [
        group[start : start + (at_once or len(group))]
        for group in groups
        for start in range(0, len(group), at_once or len(group))
    ]
