"""Sections of settings as frozen, hashable dataclasses, validated where they are made.

Every field can be swept: the name of a grid's axis is "seed" or the name of a field. Fields of `Data` are arrays of a
member (a label table and its sigma) and the numbers of `Train` arguments of its step, so a grid over them is one
compiled program; `STATIC_DATA`, `STATIC_TRAIN` and the fields of the other sections change shapes or the program, and a
grid over them runs one program per value.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from diffgeo.errors import UserError, require, require_choice, suggestion
from diffgeo.settings.allowed import (
    FIELD_TIMESTEPS,
    HOLES,
    LABEL_SOURCES,
    OBJECTIVES,
    READOUTS,
    SAMPLERS,
    SCHEDULES,
    check_encoding,
    check_network,
    kind_index,
)
from diffgeo.settings.checks import check_fields
from diffgeo.settings.datasets import Dataset
from diffgeo.settings.mapping import FrozenMapping


def require_positive(settings: Any, *names: str) -> None:
    """Raise `UserError` unless each named field is > 0."""
    for name in names:
        value = getattr(settings, name)
        require(value > 0, f"{name}={value} must be positive")


@dataclass(frozen=True)
class Model:
    """The network; see `diffgeo.unet.UNet` for the fields.

    `conditioning` names one of `allowed.CONDITIONINGS` or of `Settings.conditionings`, the user's own.
    """

    base_channels: int = 64
    embedding: int = 768
    heads: int = 4
    conv_impl: str = "auto"
    dtype: str = "float32"
    ceil_mode: bool = False
    encoding: str = "sinusoid"
    conditioning: str = "concat"
    attention: bool = True

    def __post_init__(self):
        check_fields(self)
        check_network(self.base_channels, self.embedding, self.heads, self.conv_impl, self.dtype)
        check_encoding(self.encoding)


@dataclass(frozen=True)
class Data:
    """Training data of a member; `dataset` names a table of `diffgeo.data.label_tables`, or one of the user's.

    Lengths are in pixels. A user's data set reads `size` and `parameters` alone; the others keep their defaults.

    Attributes:
      size: N, the image's side.
      periodic: whether both axes wrap.
      dataset: "grid", or a sum of parts of an extended frame, "2d+1d" for instance.
      kind: "bump" or "sos".
      sigma: spread of a bump or stripe.
      increment: d = dx = dy, spacing of the labels.
      increment_x, increment_y: spacing along one axis in place of `increment`; None for none.
      margin: width of the frame of labels around the image; "grid" has none.
      hole: shape of the region held out of the 2D part, one of `allowed.HOLES`.
      hole_width: width of its bands, or side of its square.
      hole_center: its middle in both axes, in pixels of the image; None for N / 2.
      hole_area_fraction: fraction of the image's area that a square hole covers, in place of its width.
      kept_fraction: fraction of the remaining 2D part that is kept, chosen at random by `subset_seed` alone.
      subset_seed: seed of that choice.
      parameters: of a user's `Dataset`, by name.
    """

    size: int = 32
    periodic: bool = False
    dataset: str = "grid"
    kind: str = "bump"
    sigma: float = 1.0
    increment: float = 1.0
    increment_x: float | None = None
    increment_y: float | None = None
    margin: float = 0.0
    hole: str = "none"
    hole_width: float = 6.0
    hole_center: float | None = None
    hole_area_fraction: float | None = None
    kept_fraction: float = 1.0
    subset_seed: int = 0
    parameters: Mapping[str, float] = FrozenMapping()

    def __post_init__(self):
        check_fields(self)
        object.__setattr__(self, "parameters", FrozenMapping(self.parameters))
        kind_index(self.kind)
        require_positive(self, "size", "sigma", "increment", "hole_width")
        for name in ("increment_x", "increment_y", "hole_center"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name}={value} must be positive")
        require(self.margin >= 0, f"margin={self.margin} must not be negative")
        require_choice("hole", self.hole, HOLES)
        require(
            self.hole_area_fraction is None or 0 < self.hole_area_fraction < 1,
            f"hole_area_fraction={self.hole_area_fraction} must lie between 0 and 1",
        )
        require(
            self.hole_area_fraction is None or self.hole not in ("cross", "lesion"),
            f"hole_area_fraction={self.hole_area_fraction} is that of a square hole: give the {self.hole} a width",
        )
        require(0 < self.kept_fraction <= 1, f"kept_fraction={self.kept_fraction} must be over 0 and at most 1")
        require(self.subset_seed >= 0, f"subset_seed={self.subset_seed} must not be negative")

    def to_json(self) -> dict[str, Any]:
        """Return plain values by field; parameters, which the papers' data sets do not have, only if there are some."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        parameters = dict(plain.pop("parameters"))
        return plain | ({"parameters": parameters} if parameters else {})

    def with_parameters(self, parameters: Mapping[str, float]) -> "Data":
        """Return these settings with some parameters of the user's data set replaced."""
        return dataclasses.replace(self, parameters={**self.parameters, **parameters})

    @property
    def period(self) -> float | None:
        """Circumference of both axes in pixels, None unless images are periodic."""
        return float(self.size) if self.periodic else None

    @property
    def spacing(self) -> tuple[float, float]:
        """(dx, dy) in pixels."""
        return (
            self.increment if self.increment_x is None else self.increment_x,
            self.increment if self.increment_y is None else self.increment_y,
        )


@dataclass(frozen=True)
class Diffusion:
    """Noise schedule, and the target of the network's prediction; see `diffgeo.diffusion.Schedule`."""

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    objective: str = "noise"

    def __post_init__(self):
        check_fields(self)
        require_positive(self, "timesteps", "beta_start")
        require(
            self.beta_start <= self.beta_end < 1,
            f"beta_end={self.beta_end} must lie between beta_start={self.beta_start} and 1",
        )
        require_choice("objective", self.objective, OBJECTIVES)

    @property
    def field_timesteps(self) -> tuple[int, ...]:
        """Those of `allowed.FIELD_TIMESTEPS` that this schedule has."""
        return tuple(t for t in FIELD_TIMESTEPS if t <= self.timesteps)


@dataclass(frozen=True)
class Train:
    """Optimization: AdamW under a learning-rate schedule, float32.

    Attributes:
      steps: training steps.
      batch_size: B, images per step.
      learning_rate: peak of the schedule.
      schedule: "one_cycle", cosine up to the peak and down to almost 0, or "constant", linear up to the peak and
        constant after that. Under one_cycle a step's rate depends on `steps`, so the speed at which accuracy rises is
        a property of the horizon as well; speeds are compared under "constant".
      weight_decay: of AdamW, on every parameter.
      beta1, beta2: decays of AdamW's two moving averages, of the gradient and of its square.
      stop_when: accuracy of its own labels, by `evaluation.readout`, at which a member stops at an evaluation; None
        trains it to the last step. Not under one_cycle, where the learning rate left is a part of the result.
      warmup_fraction: fraction of the steps up to the peak.
      ema_decay: decay of the exponential moving average of parameters; 0 keeps none.
      log_every: steps over which the reported loss is averaged; the window restarts at its multiples.
    """

    steps: int = 320_000
    batch_size: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warmup_fraction: float = 0.3
    ema_decay: float = 0.0
    log_every: int = 6_400
    schedule: str = "one_cycle"
    beta1: float = 0.9
    beta2: float = 0.999
    stop_when: float | None = None

    def __post_init__(self):
        check_fields(self)
        require_positive(self, "batch_size", "learning_rate", "log_every")
        require_choice("schedule", self.schedule, SCHEDULES)
        require(self.steps >= 0, f"steps={self.steps} must not be negative")
        require(
            self.steps * self.batch_size < 2**32,  # `batches.batch_indices` counts the images drawn in 32 bits
            f"steps={self.steps} of batch_size={self.batch_size} are 2**32 images or more: take fewer",
        )
        require(0 < self.warmup_fraction < 1, f"warmup_fraction={self.warmup_fraction} must lie between 0 and 1")
        require(0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay} must be at least 0 and under 1")
        require(self.weight_decay >= 0, f"weight_decay={self.weight_decay} must not be negative")
        require(
            self.stop_when is None or 0 < self.stop_when <= 1,
            f"stop_when={self.stop_when} is an accuracy: over 0 and at most 1",
        )
        require(
            self.stop_when is None or self.schedule == "constant",
            f"stop_when={self.stop_when} would cut a {self.schedule} short: set train.schedule=constant",
        )
        for name in ("beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, f"{name}={getattr(self, name)} must be at least 0 and under 1")


@dataclass(frozen=True)
class Evaluation:
    """When and how members are sampled and read out.

    Samples are drawn every `every_steps` steps, at step 0 and at the last one. 20 deterministic DDIM steps leave most
    images of a half-trained model without a bump where 1000 ancestral ones show it; 20 with eta = 1 and clipping agree
    with the latter.

    Attributes:
      every_steps: training steps between evaluations.
      label_source: "train" draws `num_samples` of the training labels without replacement, the same at every
        evaluation [2402.03305, B.3]; "grid" takes the N x N unit grid [2408.13256, A.3] and ignores `num_samples`;
        "uniform" draws `num_samples` labels in [1, N - 2]^2 of the image, the same for all members.
      num_samples: S for "train" and "uniform".
      num_common: "uniform" labels that are sampled and scored beside those of `label_source`, 0 for none.
      sampler: "ddim" or "ancestral".
      sampler_steps: network calls of "ddim".
      eta, clip: see `diffgeo.diffusion.ddim_coefficients` and `run_reverse`.
      readout: one of `allowed.READOUTS`.
      stored_images: how many of the samples are stored as images.
      use_ema: sample from the moving average of the parameters.
      num_validation: labels of the validation loss, uniform in [1, N - 2]^2 of the image and the same for all members,
        0 for none.
      layer_fields: record additive share and effective dimension of every layer at `Diffusion.field_timesteps`, on true
        images at the labels of `label_source`; the former of the grid alone.
    """

    every_steps: int = 6_400
    label_source: str = "train"
    num_samples: int = 500
    num_common: int = 128
    sampler: str = "ddim"
    sampler_steps: int = 50
    eta: float = 1.0
    clip: bool = True
    readout: str = "contour"
    stored_images: int = 25
    use_ema: bool = False
    num_validation: int = 0
    layer_fields: bool = False

    def __post_init__(self):
        check_fields(self)
        require_positive(self, "every_steps", "num_samples", "sampler_steps", "stored_images")
        for name in ("num_common", "num_validation"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        require(0 <= self.eta <= 1, f"eta={self.eta} must lie between 0 and 1")
        require_choice("label_source", self.label_source, LABEL_SOURCES)
        require_choice("sampler", self.sampler, SAMPLERS)
        require_choice("readout", self.readout, READOUTS)


def declared_data(data: Data, dataset: Dataset) -> Data:
    """Return data settings with the name and all parameters of a user's data set.

    Raises:
      UserError: for a parameter that it does not have or that is no number, or another setting that it does not read.
    """
    plain, default = Data(size=data.size, dataset=dataset.name, parameters=data.parameters), Data()
    for name in (f.name for f in fields(Data)):
        value = getattr(data, name)
        if value not in (getattr(plain, name), getattr(default, name)):
            raise UserError(
                f"data.{name}={value} is a setting of the papers' data sets, which {dataset.name!r} does not read: its "
                f"own are {', '.join(['size', *dataset.parameters])}"
            )
    known = ["size", *dataset.parameters]
    for name, value in data.parameters.items():
        require(name in dataset.parameters, f"unknown setting data.{name}{suggestion(name, known)}")
        number = isinstance(value, int | float) and math.isfinite(value)
        require(number, f"data.{name}={value!r} must be a finite number")
    return dataclasses.replace(plain, parameters={**dataset.parameters, **data.parameters})


def check_evaluation(evaluation: Evaluation, dataset: Dataset) -> None:
    """Raise `UserError` unless a user's data set can be evaluated like this."""
    require(
        evaluation.label_source != "grid",
        f"label_source='grid' is the unit grid of the papers' images: take 'train' or 'uniform' for {dataset.name!r}",
    )
    drawn = evaluation.label_source == "uniform" or evaluation.num_common > 0 or evaluation.num_validation > 0
    require(
        dataset.images is None or not drawn,
        f"{dataset.name!r} has images of its own labels alone: set evaluation.label_source=train, "
        "evaluation.num_common=0 and evaluation.num_validation=0",
    )


SECTIONS: dict[str, type] = {
    "model": Model,
    "data": Data,
    "diffusion": Diffusion,
    "train": Train,
    "evaluation": Evaluation,
}
STATIC_DATA = ("size", "periodic")
"""Fields of `Data` that change shapes or the compiled program."""
STATIC_TRAIN = ("batch_size", "log_every", "schedule")
"""Fields of `Train` that do; so does an average of the parameters, `ema_decay` over 0 or not."""


def field_of(name: str, others: Iterable[str] = ()) -> tuple[str, dataclasses.Field]:
    """Return section and field of a setting's bare name; raise `UserError` for an unknown one, which `others` help."""
    for section, kind in SECTIONS.items():
        for candidate in fields(kind):
            if candidate.name == name != "parameters":
                return section, candidate
    known = [*others, *(f.name for kind in SECTIONS.values() for f in fields(kind) if f.name != "parameters")]
    raise UserError(f"unknown axis {name!r}{suggestion(name, ['seed', *known])}")


def is_static(axis: str) -> bool:
    """Return whether values of this axis need a compiled program each."""
    if axis == "seed":
        return False
    dynamic = {"data": STATIC_DATA, "train": STATIC_TRAIN}
    section = field_of(axis)[0]
    return section not in dynamic or axis in dynamic[section]
