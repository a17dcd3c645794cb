"""Waves: members that train together, their label tables and evaluation labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffgeo.data import label_tables, regions
from diffgeo.data.label_tables import LabelTable
from diffgeo.data.sources import Source, source_of
from diffgeo.settings import Grid, Member
from diffgeo.training.labels import own_labels


@dataclass(frozen=True)
class Wave:
    """The members trained at once, with everything that depends on their labels built once.

    Attributes:
      index: of the wave in its run.
      members: M of them.
      tables: their label tables, stacked: every array has a leading M.
      labels: float32[S_m, K] of each member, sampled at every evaluation, in frame coordinates.
      regions: names of the regions of all the grid's scores.
      common: float32[C, K] of each member, sampled beside them: the same place in every member's image.
    """

    index: int
    members: tuple[Member, ...]
    tables: LabelTable = field(repr=False)
    labels: tuple[np.ndarray, ...] = field(repr=False)
    regions: tuple[str, ...] = ()
    common: tuple[np.ndarray, ...] = field(default=(), repr=False)

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """Steps after which some of the members are evaluated, ascending; the last is the last of training."""
        return tuple(sorted({step for member in self.members for step in member.settings.evaluation_steps}))

    @property
    def longest(self) -> int:
        """S, the largest number of own labels of a member."""
        return max(len(labels) for labels in self.labels)

    @property
    def stacked_labels(self) -> np.ndarray:
        """float32[M, S, K]; members with fewer labels repeat their first one."""
        longest = self.longest
        return np.stack([np.concatenate([x, np.repeat(x[:1], longest - len(x), 0)]) for x in self.labels])

    @property
    def sampled_labels(self) -> np.ndarray:
        """float32[M, S + C, K], `stacked_labels`, then the common ones."""
        return np.concatenate([self.stacked_labels, np.stack(self.common)], axis=1)

    def origin(self, index: int) -> np.ndarray:
        """Return float32[K], where the image's pixel (0, 0) lies in the frame of one member."""
        return self.tables.origin[index]

    def own_tables(self) -> LabelTable:
        """Return the members' own evaluation labels as stacked tables, for images to be rendered on the devices."""
        return self._tables_of(self.labels)

    def validation_tables(self) -> LabelTable:
        """Return the labels of the validation loss as stacked tables, `num_validation` a member."""
        count, sources = self.members[0].settings.evaluation.num_validation, self._sources
        return self._tables_of([source.uniform_labels(count, self.origin(i)) for i, source in enumerate(sources)])

    def _tables_of(self, labels: Sequence[np.ndarray]) -> LabelTable:
        tables = [source.labeled(at) for source, at in zip(self._sources, labels, strict=True)]
        return label_tables.stack(tables)

    @property
    def _sources(self) -> list[Source]:
        return [source_of(member.settings) for member in self.members]

    def true_images(self, index: int) -> np.ndarray:
        """Return float32[S, N, N, C], what one member should draw at its `stacked_labels`."""
        return true_images(self.members[index], self.stacked_labels[index], self.origin(index))

    def sampled_true_images(self, index: int) -> np.ndarray:
        """Return float32[S + C, N, N, C], what one member should draw at its `sampled_labels`."""
        return true_images(self.members[index], self.sampled_labels[index], self.origin(index))


def build_tables(grid: Grid) -> dict[int, LabelTable]:
    """Build every member's label table on host: index of the member -> table."""
    return {member.index: source_of(member.settings).table() for member in grid.members}


def plan_waves(grid: Grid, tables: Mapping[int, LabelTable], config: Mapping[str, Any]) -> list[Wave]:
    """Return the grid's waves; `config` as of `Grid.waves_of`."""
    rows = label_tables.padded(max(int(table.count) for table in tables.values()))
    scored = regions.names([member.settings for member in grid.members])
    return [
        Wave(
            index=index,
            members=tuple(members),
            tables=label_tables.stack([tables[member.index] for member in members], rows),
            labels=tuple(own_labels(member.settings, tables[member.index]) for member in members),
            regions=scored,
            common=tuple(_common(member, tables[member.index]) for member in members),
        )
        for index, members in enumerate(grid.waves_of(config))
    ]


def _common(member: Member, table: LabelTable) -> np.ndarray:
    """Return float32[C, K], the common labels in a member's frame."""
    return source_of(member.settings).uniform_labels(member.settings.evaluation.num_common, table.origin)


def true_images(member: Member, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return float32[S, N, N, C], what a member should draw at float32[S, K] labels in frame coordinates."""
    return source_of(member.settings).images(labels, origin)
