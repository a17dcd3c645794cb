"""Settings of a run as frozen dataclasses, checked where they are made; overriding and reading them back.

Every field can be swept: the name of an axis of a grid is "seed" or the name of a field. Fields of `Data` are
arrays of a member (a label table and its sigma), so a grid over them is one compiled program; the fields named in
`STATIC_DATA` and those of the other sections change shapes or the program, and a grid over them runs one program per
value.
"""

import dataclasses
import difflib
import itertools
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from diffgeo.errors import UserError
from diffgeo.limits import check_network, check_size, kind_index
from diffgeo.readout import METHODS

LABEL_SOURCES = ("train", "grid")
SAMPLERS = ("ddim", "ancestral")
HOLES = ("none", "cross", "lesion", "square", "corner")
"""Shapes of the held-out region; see `diffgeo.regions`."""


def require(condition: bool, message: str) -> None:
    """Raises `UserError(message)` unless the condition holds."""
    if not condition:
        raise UserError(message)


def suggestion(name: str, known) -> str:
    """': did you mean ...' with the nearest known names, or ': choose one of ...' when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose one of {', '.join(known)}"


def require_positive(settings, *names: str) -> None:
    """Raises `UserError` unless each named field is > 0."""
    for name in names:
        value = getattr(settings, name)
        require(value > 0, f"{name}={value} must be positive")


@dataclass(frozen=True)
class Model:
    """The network; see `diffgeo.unet.UNet` for the fields."""

    base_channels: int = 64
    embedding: int = 768
    heads: int = 4
    conv: str = "auto"
    compute: str = "float32"
    ceil_mode: bool = False

    def __post_init__(self):
        check_network(self.base_channels, self.embedding, self.heads, self.conv, self.compute)

    def build(self, remat: str = "none"):
        """The flax module of these settings, a `diffgeo.unet.UNet`."""
        from diffgeo.unet import UNet  # settings are read where there is no JAX

        return UNet(self.base_channels, self.embedding, self.heads, self.conv, self.compute, remat, self.ceil_mode)


@dataclass(frozen=True)
class Data:
    """What a member is trained on; `dataset` names a table of `diffgeo.datasets`.

    Lengths in pixels. `increment` is d = dx = dy; `increment_x` and `increment_y` override it for one axis. `margin` is
    the width of the frame that labels have around the image; "grid" has none. `hole` is held out of the 2D part: see
    `diffgeo.regions.SHAPES`, with its `width`, and its middle `hole_center` in both axes (None: N / 2; in pixels of the
    image). `share` is the part of the image's area that a square hole covers, in place of its width. `fraction` of the
    2D part that is left is kept, at random by `draw` alone.
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
    width: float = 6.0
    hole_center: float | None = None
    share: float | None = None
    fraction: float = 1.0
    draw: int = 0

    def __post_init__(self):
        kind_index(self.kind)
        require_positive(self, "size", "sigma", "increment", "width")
        for name in ("increment_x", "increment_y", "hole_center"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name}={value} must be positive")
        require(self.margin >= 0, f"margin={self.margin} must not be negative")
        require(self.hole in HOLES, f"unknown hole {self.hole!r}{suggestion(self.hole, HOLES)}")
        require(self.share is None or 0 < self.share < 1, f"share={self.share} must lie between 0 and 1")
        require(
            self.share is None or self.hole not in ("cross", "lesion"),
            f"share={self.share} is that of a square hole: give the {self.hole} a width",
        )
        require(0 < self.fraction <= 1, f"fraction={self.fraction} must be over 0 and at most 1")
        require(self.draw >= 0, f"draw={self.draw} must not be negative")

    @property
    def spacing(self) -> tuple[float, float]:
        """(dx, dy) in pixels."""
        return (
            self.increment if self.increment_x is None else self.increment_x,
            self.increment if self.increment_y is None else self.increment_y,
        )


@dataclass(frozen=True)
class Diffusion:
    """The noise schedule; see `diffgeo.diffusion.Schedule`."""

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self):
        require_positive(self, "timesteps", "beta_start")
        require(
            self.beta_start <= self.beta_end < 1,
            f"beta_end={self.beta_end} must lie between beta_start={self.beta_start} and 1",
        )


@dataclass(frozen=True)
class Train:
    """The optimisation: AdamW under a one-cycle cosine schedule, float32.

    `warmup` is the share of the steps up to the peak of `learning_rate`; `ema_decay` = 0 keeps no average.
    """

    steps: int = 320_000
    batch: int = 16
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warmup: float = 0.3
    ema_decay: float = 0.0

    def __post_init__(self):
        require_positive(self, "batch", "learning_rate")
        require(self.steps >= 0, f"steps={self.steps} must not be negative")
        require(
            self.steps * self.batch < 2**32,  # `batches.batch_rows` counts the images drawn in 32 bits
            f"steps={self.steps} of batch={self.batch} are 2**32 images or more: take fewer",
        )
        require(0 < self.warmup < 1, f"warmup={self.warmup} must lie between 0 and 1")
        require(0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay} must be at least 0 and under 1")
        require(self.weight_decay >= 0, f"weight_decay={self.weight_decay} must not be negative")


@dataclass(frozen=True)
class Evaluation:
    """When and how members are sampled and read out.

    Samples are drawn every `every` steps, at step 0 and at the last one. `labels` = "train" draws `count` of the
    training labels without replacement, the same at every evaluation [2402.03305, B.3]; "grid" takes the N x N unit
    grid [2408.13256, A.3] and ignores `count`. The first `keep` images are stored. `use_ema` samples from the average.
    `eta` and `clip` are those of `diffgeo.diffusion.sample`: 20 deterministic steps leave most images of a half-trained
    model without a bump where 1000 ancestral ones show it; 20 with eta = 1 and clipping agree with the latter.
    """

    every: int = 6_400
    labels: str = "train"
    count: int = 500
    sampler: str = "ddim"
    sampler_steps: int = 50
    eta: float = 1.0
    clip: bool = True
    readout: str = "contour"
    keep: int = 25
    use_ema: bool = False

    def __post_init__(self):
        require_positive(self, "every", "count", "sampler_steps", "keep")
        require(0 <= self.eta <= 1, f"eta={self.eta} must lie between 0 and 1")
        for name, choices in (("labels", LABEL_SOURCES), ("sampler", SAMPLERS), ("readout", METHODS)):
            value = getattr(self, name)
            require(value in choices, f"unknown {name} {value!r}: choose one of {', '.join(choices)}")


@dataclass(frozen=True)
class Settings:
    """All that determines the numbers of a run. `axes` maps axis names to values, in the order of the results' dims."""

    model: Model = Model()
    data: Data = Data()
    diffusion: Diffusion = Diffusion()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    axes: Mapping[str, tuple] = field(default_factory=lambda: {"seed": (0,)})

    def __post_init__(self):
        object.__setattr__(self, "axes", types.MappingProxyType({k: tuple(v) for k, v in self.axes.items()}))
        for name, values in self.axes.items():
            require(len(values) > 0, f"axis {name!r} has no values")
            require(
                len(set(values)) == len(values), f"axis {name!r} names a value twice: {', '.join(map(str, values))}"
            )
            if name != "seed":
                field_of(name)
            else:
                require(
                    all(isinstance(v, int) and 0 <= v < 2**32 for v in values),
                    f"seeds must be integers from 0 to 2**32 - 1, got {', '.join(map(str, values))}",
                )
        swept = {name: values for name, values in self.axes.items() if name != "seed"}
        for point in itertools.product(*swept.values()) if swept else ():
            self.at(**dict(zip(swept, point, strict=True)))
        if not swept:  # what fields of two sections must agree on; of a grid every point is asked, not its defaults
            check_size(self.data.size, self.model.ceil_mode)
            require(
                self.evaluation.sampler_steps <= self.diffusion.timesteps,
                f"sampler_steps={self.evaluation.sampler_steps} exceeds timesteps={self.diffusion.timesteps}",
            )
            require(
                self.train.ema_decay > 0 or not self.evaluation.use_ema,
                "use_ema needs an average: set train.ema_decay, 0.995 for instance",
            )

    def at(self, **coordinates) -> "Settings":
        """The settings of one point of the grid: axes' values written into their fields, no axes left but the seed."""
        changed = {name: getattr(self, name) for name in SECTIONS}
        for name, value in coordinates.items():
            if name != "seed":
                section = field_of(name)[0]
                changed[section] = dataclasses.replace(changed[section], **{name: value})
        seeds = coordinates.get("seed", self.axes.get("seed", (0,))[0])
        return Settings(**changed, axes={"seed": (seeds,)})

    @property
    def program(self) -> str:
        """Names the compiled program: JSON of what members of one program share, the rest at its default."""
        static = {name: getattr(self.data, name) for name in STATIC_DATA}
        return json.dumps(dataclasses.replace(self, data=Data(**static), axes={"seed": (0,)}).to_json())

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """Training steps after which members are sampled: 0, every, 2 every, ..., steps."""
        steps = list(range(0, self.train.steps, self.evaluation.every))
        return (*steps, self.train.steps)

    def to_json(self) -> dict:
        """Plain dicts, lists and numbers; the inverse of `from_json`."""
        out = {name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS}
        return out | {"axes": {name: list(values) for name, values in self.axes.items()}}

    @staticmethod
    def from_json(tree: Mapping) -> "Settings":
        """Settings from `to_json`'s tree."""
        axes = {name: tuple(values) for name, values in tree["axes"].items()}
        return Settings(**{name: kind(**tree[name]) for name, kind in SECTIONS.items()}, axes=axes)


SECTIONS = {"model": Model, "data": Data, "diffusion": Diffusion, "train": Train, "evaluation": Evaluation}
STATIC_DATA = ("size", "periodic")
"""Fields of `Data` that change shapes or the compiled program."""


def with_defaults(tree: Mapping) -> dict:
    """`Settings.to_json`'s tree as an earlier version wrote it, with fields that are new since at their defaults."""
    sections = {name: dataclasses.asdict(kind()) | tree.get(name, {}) for name, kind in SECTIONS.items()}
    return {**tree, **sections}


def field_of(name: str) -> tuple[str, dataclasses.Field]:
    """Section and field of a setting's bare name; raises `UserError` for an unknown one."""
    for section, kind in SECTIONS.items():
        for candidate in fields(kind):
            if candidate.name == name:
                return section, candidate
    known = [f.name for kind in SECTIONS.values() for f in fields(kind)]
    raise UserError(f"unknown axis {name!r}{suggestion(name, ['seed', *known])}")


def is_static(axis: str) -> bool:
    """Whether values of this axis need a compiled program each."""
    return axis != "seed" and (field_of(axis)[0] != "data" or axis in STATIC_DATA)


def override(settings: Settings, *assignments: str) -> Settings:
    """Settings changed by 'section.field=value' or 'axes.name=v1,v2,...', checked once all of them are made.

    Raises:
      UserError: for an unknown setting, a value of the wrong type, or one that its section refuses.
    """
    changes: dict[str, dict] = {section: {} for section in (*SECTIONS, "axes")}
    for assignment in assignments:
        section, name, value = _assigned(settings, assignment)
        changes[section][name] = value
    sections = {name: dataclasses.replace(getattr(settings, name), **changes[name]) for name in SECTIONS}
    return Settings(**sections, axes={**settings.axes, **changes["axes"]})


def _assigned(settings: Settings, assignment: str) -> tuple[str, str, object]:
    """Section, name and value of one assignment."""
    path, equals, text = assignment.partition("=")
    section, _, name = path.partition(".")
    require(bool(equals and name), f"setting {assignment!r} is not of the form section.name=value")
    require(section in (*SECTIONS, "axes"), f"unknown setting {path!r}{suggestion(section, [*SECTIONS, 'axes'])}")
    if section == "axes":
        kind = int if name == "seed" else field_of(name)[1].type
        require(all(text.split(",")), f"{path}={text!r} leaves out a value: write as {path}=1,2,3")
        return section, name, tuple(parse(part, kind, path) for part in text.split(","))
    known = {f.name: f for f in fields(SECTIONS[section])}
    require(name in known, f"unknown setting {path!r}{suggestion(name, known)}")
    require(
        name not in settings.axes,
        f"setting {path!r} is an axis of this grid: change its values by --set=axes.{name}={text}",
    )
    return section, name, parse(text, known[name].type, path)


def parse(text: str, kind, path: str):
    """One value of the annotated type; raises `UserError` that names the setting."""
    kinds = typing.get_args(kind) or (kind,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds:
        require(text.lower() in ("true", "false"), f"{path}={text!r} must be true or false")
        return text.lower() == "true"
    for candidate in kinds:
        if candidate in (int, float, str):
            try:
                return candidate(text)
            except ValueError:
                continue
    wanted = " or ".join("none" if k is types.NoneType else k.__name__ for k in kinds)
    raise UserError(f"{path}={text!r} is not a number of the right kind ({wanted})")
