"""Settings of a run: its sections, axes and data set, checked against each other, and the program they compile to."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from diffgeo.errors import require
from diffgeo.settings.allowed import EDGE, check_conditioning, check_embedding, check_labels, check_size
from diffgeo.settings.checks import check_axes, check_keys
from diffgeo.settings.conditionings import Conditioner, check_conditioners, described
from diffgeo.settings.datasets import Dataset, Factor
from diffgeo.settings.mapping import Axes, FrozenMapping
from diffgeo.settings.sections import (
    SECTIONS,
    Data,
    Diffusion,
    Evaluation,
    Model,
    Train,
    check_evaluation,
    declared_data,
    field_of,
    is_static,
)


@dataclass(frozen=True)
class Program:
    """The static part of a member's settings: members with equal programs share their compiled ones.

    Attributes:
      model, diffusion: the sections.
      batch_size, log_every, schedule: see `Train`; its numbers are arguments of the program.
      ema: whether a moving average of the parameters is kept.
      size, periodic: N, and whether images wrap.
      dataset: of the user, None for the papers'.
      sampler, sampler_steps, eta, clip: see `Evaluation`.
      conditioner: the user's module that `model.conditioning` names, None for one of `allowed.CONDITIONINGS`.
    """

    model: Model
    diffusion: Diffusion
    batch_size: int
    log_every: int
    schedule: str
    ema: bool
    size: int
    periodic: bool
    sampler: str
    sampler_steps: int
    eta: float
    clip: bool
    dataset: Dataset | None = None
    conditioner: Conditioner | None = None

    @property
    def num_factors(self) -> int:
        """K, the coordinates of a label."""
        return 2 if self.dataset is None else len(self.dataset.factors)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(N, N, C)."""
        return (self.size, self.size, 1 if self.dataset is None else self.dataset.channels)


@dataclass(frozen=True)
class Settings:
    """Everything that determines the numbers of a run.

    Attributes:
      model, data, diffusion, train, evaluation: the sections.
      axes: axis names to values, in the order of the results' dims.
      dataset: declared by the user, None for the papers' bumps and stripes.
      conditionings: name -> module of the user's, for `model.conditioning`; see `diffgeo.settings.conditionings`.

    Raises:
      UserError: for a value that a section refuses, sections that do not fit each other at some point of the grid, an
        unknown axis, or one without values or with a value twice.
    """

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    diffusion: Diffusion = field(default_factory=Diffusion)
    train: Train = field(default_factory=Train)
    evaluation: Evaluation = field(default_factory=Evaluation)
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: Axes({"seed": (0,)}))
    dataset: Dataset | None = None
    conditionings: Mapping[str, Conditioner] = field(default_factory=FrozenMapping)

    def __post_init__(self):
        object.__setattr__(self, "axes", Axes(self.axes))
        object.__setattr__(self, "conditionings", FrozenMapping(self.conditionings))
        check_conditioners(self.conditionings)
        if self.dataset is not None:
            object.__setattr__(self, "data", declared_data(self.data, self.dataset))
            check_evaluation(self.evaluation, self.dataset)
        for name, values in self.axes.items():
            require(len(values) > 0, f"axis {name!r} has no values")
            require(
                len(set(values)) == len(values), f"axis {name!r} names a value twice: {', '.join(map(str, values))}"
            )
            if name != "seed":
                self.section_of(name)
            else:
                require(
                    all(isinstance(v, int) and 0 <= v < 2**32 for v in values),
                    f"seeds must be integers from 0 to 2**32 - 1, got {', '.join(map(str, values))}",
                )
        swept = {name: values for name, values in self.axes.items() if name != "seed"}
        for point in itertools.product(*swept.values()) if swept else ():
            self.at(**dict(zip(swept, point, strict=True)))
        if not swept:  # what fields of two sections must agree on; of a grid every point is checked, not its defaults
            check_size(self.data.size, self.model.ceil_mode)
            check_conditioning(self.model.conditioning, self.conditionings)
            self._check_labels()
            require(
                self.evaluation.sampler_steps <= self.diffusion.timesteps,
                f"sampler_steps={self.evaluation.sampler_steps} exceeds timesteps={self.diffusion.timesteps}",
            )
            require(
                (self.diffusion.objective, self.evaluation.sampler) != ("flow", "ancestral"),
                "objective='flow' has no ancestral sampler: take sampler='ddim'",
            )
            require(
                self.train.ema_decay > 0 or not self.evaluation.use_ema,
                "use_ema needs an average: set train.ema_decay, 0.995 for instance",
            )

    def _check_labels(self) -> None:
        """Raise `UserError` unless the network's conditioning holds every factor and tells their values apart."""
        model, data = self.model, self.data
        check_embedding(model.embedding, len(self.factors))
        if self.dataset is None:
            largest = math.ceil(data.size + 2 * data.margin - min(1.0, *data.spacing) - EDGE)
            check_labels(model.encoding, model.embedding, (0.0, largest), 2)
            require(
                model.encoding != "periodic" or not data.margin,
                f"encoding='periodic' gives labels 0 and {data.size} one code: it needs margin=0, got {data.margin}",
            )
        else:
            low, high = min(f.low for f in self.factors), max(f.high for f in self.factors)
            check_labels(model.encoding, model.embedding, (low, math.ceil(high)), len(self.factors))
            require(
                model.encoding != "periodic" or any(f.period for f in self.factors),
                f"encoding='periodic' is of circular factors, and {', '.join(f.name for f in self.factors)} have no "
                "period: give one to a Factor, or take another",
            )

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The K coordinates of a label: x and y of the image in pixels, or those of the user's data set."""
        if self.dataset is not None:
            return tuple(self.dataset.factors)
        size, period = float(self.data.size), self.data.period
        return tuple(Factor(name, 0.0, size, 1.0, "px", period) for name in ("x", "y"))

    def section_of(self, name: str) -> str:
        """Return the section of a setting by its bare name; "parameters" for one of the user's data set.

        Raises:
          UserError: for an unknown one.
        """
        return "parameters" if name in self.data.parameters else field_of(name, self.data.parameters)[0]

    def is_static(self, axis: str) -> bool:
        """Return whether values of this axis need a compiled program each."""
        return axis not in self.data.parameters and is_static(axis)

    def at(self, **coordinates: Any) -> "Settings":
        """Return the settings of one point of the grid: axes' values in their fields, no axis but the seed."""
        changed = {name: getattr(self, name) for name in SECTIONS}
        for name, value in coordinates.items():
            if name == "seed":
                continue
            section = self.section_of(name)
            if section == "parameters":
                changed["data"] = changed["data"].with_parameters({name: value})
            else:
                changed[section] = dataclasses.replace(changed[section], **{name: value})
        seed = coordinates.get("seed", self.axes.get("seed", (0,))[0])
        return Settings(**changed, axes={"seed": (seed,)}, dataset=self.dataset, conditionings=self.conditionings)

    @property
    def program(self) -> Program:
        """The static part, the key of compiled programs."""
        data, sampling = self.data, self.evaluation
        return Program(
            model=self.model,
            diffusion=self.diffusion,
            batch_size=self.train.batch_size,
            log_every=self.train.log_every,
            schedule=self.train.schedule,
            ema=self.train.ema_decay > 0,
            size=data.size,
            periodic=data.periodic,
            sampler=sampling.sampler,
            sampler_steps=sampling.sampler_steps,
            eta=sampling.eta,
            clip=sampling.clip,
            dataset=self.dataset,
            conditioner=self.conditionings.get(self.model.conditioning),
        )

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """Training steps after which members are sampled: 0, `every_steps`, twice that, ..., the last."""
        steps = list(range(0, self.train.steps, self.evaluation.every_steps))
        return (*steps, self.train.steps)

    def to_json(self) -> dict:
        """Return plain dicts, lists and numbers; the inverse of `from_json`."""
        out: dict[str, Any] = {
            name: {f.name: getattr(getattr(self, name), f.name) for f in fields(kind)}
            for name, kind in SECTIONS.items()
        }
        out["data"] = self.data.to_json()
        out["axes"] = {name: list(values) for name, values in self.axes.items()}
        if self.dataset is not None:  # the papers' runs are stored as before
            out["dataset"] = self.dataset.describe()
        if self.conditionings:
            out["conditionings"] = list(self.conditionings)
        return out

    @staticmethod
    def from_json(
        tree: Mapping[str, Any],
        dataset: Dataset | None = None,
        conditionings: Mapping[str, Conditioner] = FrozenMapping(),
    ) -> "Settings":
        """Return the settings of `to_json`'s tree; one of an earlier version goes through `migration` first.

        Args:
          tree: from `to_json`.
          dataset: the user's, if it is at hand; else it is known by its description alone.
          conditionings: the user's, if they are at hand; else they are known by their names alone.

        Raises:
          UserError: for a tree that `to_json` does not make: an unknown or missing key, a value of another type or that
            settings refuse.
        """
        check_keys("settings", tree, [*SECTIONS, "axes", "dataset", "conditionings"], [*SECTIONS, "axes"])
        for name, kind in SECTIONS.items():
            check_keys(f"settings.{name}", tree[name], [f.name for f in fields(kind)])
        check_axes(tree["axes"])
        sections = {name: kind(**tree[name]) for name, kind in SECTIONS.items()}
        stored = tree.get("dataset")
        if dataset is None and stored is not None:
            dataset = Dataset.described(stored)
        own = described(tree.get("conditionings", ()), conditionings)
        return Settings(**sections, axes=Axes(tree["axes"]), dataset=dataset, conditionings=own)
