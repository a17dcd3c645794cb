"""Ordered, hashable mappings for settings."""

from collections.abc import Iterator, Mapping
from typing import Any


class FrozenMapping(Mapping[str, Any]):
    """An ordered, hashable mapping from names to values; equal to another of the same items in the same order."""

    def __init__(self, items: Mapping[str, Any] | None = None):
        self._values = dict(items or {})

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and list(self.items()) == list(type(self)(other).items())

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


class Axes(FrozenMapping):
    """A mapping from axis name to its values, tuples."""

    def __init__(self, axes: Mapping[str, Any]):
        super().__init__({name: tuple(values) for name, values in axes.items()})
