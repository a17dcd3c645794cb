# pyright: strict
"""One model of a run: sampled anywhere, and looked into at any layer and diffusion step."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from diffgeo import readout
from diffgeo.errors import UserError, require, require_choice, suggestion
from diffgeo.model.activations import PIXELS, Activations
from diffgeo.settings import Settings
from diffgeo.settings.allowed import CONDITIONING, LAYERS, OUTCOMES, SUBPIXEL, check_edits
from diffgeo.settings.checks import check_value


@dataclass(frozen=True, repr=False, eq=False)
class TrainedMember:
    """One model, with its parameters in memory; made by `SavedRun.member` or `from_torch`.

    Labels are in pixels of the data's frame: pixel (row r, column c) of the image is at x = c + margin, y = r + margin,
    and the margin (`settings.data.margin`) is 0 unless the frame is extended.

    Attributes:
      settings: of this model alone.
      coordinates: axis of its run's grid -> value.
      step: training steps behind it.
      params: nested dict of float32 arrays.
      edits: layer -> what is added to its activations while images are drawn, see `edited`.
      edit_steps: first and last diffusion step at which it is.

    >>> load("runs/quickstart").member(increment=0.5, seed=1)
    TrainedMember(increment=0.5, seed=1, step=6)
    """

    settings: Settings
    coordinates: Mapping[str, object]
    step: int
    params: Mapping[str, Any] = field(repr=False)
    edits: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray], repr=False)
    edit_steps: tuple[int, int] = (0, 0)

    def edited(self, edits: Mapping[str, Any], steps: tuple[int, int] | None = None) -> "TrainedMember":
        """Return this model with something added to its activations while it draws: an intervention.

        An edit of zero draws the very same images.

        Args:
          edits: layer of `settings.allowed.EDITABLE` -> what is added, an array that broadcasts against
            float32[sample, h, w, c] of the samples that `sample` returns.
          steps: first and last diffusion step t, 1 .. T, at which it is; None for all. "ddim" calls the network at
            `sampler_steps` of them.

        Raises:
          UserError: for a layer that does not exist, numbers that are not finite, or other steps.

        >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
        >>> of_x, _ = model.activations(x=np.arange(8)[:, None], y=np.arange(8)).main_effects()
        >>> moved = model.edited({"layer4": of_x[5] - of_x[2]}).sample(x=2, y=4)
        """
        check_edits(edits)
        arrays = {layer: _numbers(f"the edit of {layer}", values) for layer, values in edits.items()}
        for layer, array in arrays.items():
            require(bool(np.isfinite(array).all()), f"the edit of {layer} is not finite")
        return dataclasses.replace(self, edits=arrays, edit_steps=self._steps(steps))

    def sample(
        self,
        *,
        draws: int = 1,
        seed: int | None = None,
        sampler: str | None = None,
        sampler_steps: int | None = None,
        eta: float | None = None,
        clip: bool | None = None,
        **factors: Any,
    ) -> xr.Dataset:
        """Draw images at labels, and read the centers that they show.

        Args:
          draws: images for each label, each from noise of its own.
          seed: of the noise; None for the model's own, by which the run's own labels give the images that its
            evaluation stored. Models sampled with one seed start from the same noise.
          sampler: "ddim" or "ancestral"; None, here as in the next three, for that of the run's evaluations.
          sampler_steps: network calls of "ddim" for an image.
          eta: noise of "ddim", from 0 (none but the first) to 1.
          clip: hold the estimate of the clean image in [-1, 1] at every step.
          **factors: x= and y=, numbers or arrays in pixels, or the factors of one's own data set, broadcast against
            each other; none for the labels of the run's evaluations.

        Returns:
          A Dataset over `sample`: all labels of draw 0 (the last axis of the arrays fastest), then those of draw 1, ...

          * images: float32[sample, row, column], about [-1, 1], dark on white; with a dim channel if there are several.
          * label: float32[sample, factor], asked for; pixels.
          * prediction: float32[sample, factor], drawn, by the sub-pixel read-out, or that of one's own data set; NaN:
            nothing to read.
          * error: float32[sample], distance of the two in tolerances of the factors (a pixel).
          * hit: bool[sample, factor], whether each factor is right to under its tolerance: accuracy asks for all.
          * outcome: str[sample], one of `settings.allowed.OUTCOMES`; of the papers' images alone.

        Raises:
          UserError: for labels that are not finite, not of both factors, or do not broadcast; for a sampler that the
            settings refuse; for an edit of another shape than the samples'.

        >>> samples = load("runs/quickstart").member(increment=0.5, seed=1).sample(x=[2, 5.5], y=4, draws=3)
        >>> dict(samples.sizes)
        {'sample': 6, 'row': 8, 'column': 8, 'factor': 2}
        >>> samples.label.values[:2].tolist()
        [[2.0, 4.0], [5.5, 4.0]]
        """
        from diffgeo.model import programs

        check_value("draws", draws, int)
        require(draws >= 1, f"draws={draws} must be at least 1")
        asked = {"sampler": sampler, "sampler_steps": sampler_steps, "eta": eta, "clip": clip}
        changed = {name: value for name, value in asked.items() if value is not None}
        evaluation = dataclasses.replace(self.settings.evaluation, **changed)
        program = dataclasses.replace(self.settings, evaluation=evaluation).program
        labels = np.tile(self._labels(factors), (draws, 1))
        added = {layer: self._added(layer, len(labels)) for layer in self.edits}
        member = program, self.params, self._seed(seed), self.step
        drawn = programs.draw(member, labels, added, self.edit_steps)
        return self._read(drawn, labels, draws)

    def true_images(self, **factors: Any) -> np.ndarray:
        """Return the true images of labels, which the model should draw.

        Args:
          **factors: as for `sample`.

        Returns:
          float32[S, N, N], in [-1, 1], dark on white; [S, N, N, C] if there are several channels.

        Raises:
          UserError: for labels as for `sample`.

        >>> load("runs/quickstart").member(increment=0.5, seed=1).true_images(x=[2, 5.5], y=4).shape
        (2, 8, 8)
        """
        from diffgeo.model import programs

        images = programs.true_images(self.settings, self._labels(factors))
        return images[..., 0] if images.shape[-1] == 1 else images

    def read(self, images: Any, **factors: Any) -> xr.Dataset:
        """Read the centers of any images, as `sample` reads those of its own.

        Args:
          images: float[S, N, N], or with channels, in about [-1, 1].
          **factors: labels that they were asked for, as for `sample`.

        Returns:
          The Dataset of `sample`.

        Raises:
          UserError: for labels as for `sample`, or images of another number or shape.

        >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
        >>> bool(model.read(model.true_images(x=[2, 5.5], y=4), x=[2, 5.5], y=4).hit.all())
        True
        """
        given, labels = _numbers("images", images), self._labels(factors)
        wanted = len(labels), *self.settings.program.image_shape
        filled = given[..., None] if given.ndim == 3 else given
        require(filled.shape == wanted, f"images have shape {given.shape}: {len(labels)} labels ask for {wanted}")
        return self._read(filled, labels)

    def _read(self, drawn: np.ndarray, labels: np.ndarray, draws: int = 1) -> xr.Dataset:
        """Return images float32[S, N, N, C] with their labels, and the centers that they show."""
        from diffgeo import images
        from diffgeo.data.sources import source_of

        all_factors, margin = self.settings.factors, np.float32(self.settings.data.margin)
        read = source_of(self.settings).read(images.to_uint8(drawn), labels - margin, SUBPIXEL)
        each = readout.distances(read.predicted, labels - margin, [factor.period for factor in all_factors])
        error = np.linalg.norm(each / [factor.tolerance for factor in all_factors], axis=1)
        one_channel = drawn.shape[-1] == 1
        image = ("row", "column") if one_channel else ("row", "column", "channel")
        variables = {
            "images": (("sample", *image), drawn[..., 0] if one_channel else drawn),
            "label": (("sample", "factor"), labels),
            "prediction": (("sample", "factor"), read.predicted.astype(np.float32) + margin),
            "error": ("sample", error.astype(np.float32)),
            "hit": (("sample", "factor"), read.hits),
        }
        if read.outcomes is not None:
            variables["outcome"] = ("sample", np.array(OUTCOMES)[read.outcomes])
        coordinates = {
            "factor": list(read.factors),
            "draw": ("sample", np.repeat(np.arange(draws), len(labels) // draws)),
        }
        return xr.Dataset(variables, coordinates, {"member": str(self)})

    def activations(
        self,
        at: xr.Dataset | None = None,
        *,
        layer: str = "layer4",
        t: int = 1,
        seed: int | None = None,
        **factors: Any,
    ) -> Activations:
        """Return the activations of a layer at images noised to a diffusion step, by one forward pass.

        Args:
          at: generated images, from `sample`; None for true images at the labels that `factors` give.
          layer: one of `settings.allowed.LAYERS`; "conditioning", the code of t and label that every block
            takes; or "pixels", the images themselves: a control.
          t: diffusion step, 1 .. T. The papers' representation is that of t = 1, where the noise has a standard
            deviation of 0.01. The run's own `layer4` is recorded while an image is drawn, at its last step.
          seed: of the noise; None for the model's own, as in the run's `layer4_proxy`.
          **factors: as for `sample`.

        Raises:
          UserError: for an unknown layer, a step outside 1 .. T, labels as for `sample`, or an edited model.

        >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
        >>> model.activations(model.sample(x=[2, 4, 6], y=4), layer="bottleneck1", t=10).values.shape
        (3, 1, 1, 32)
        """
        from diffgeo.model import programs

        require_choice("layer", layer, (*LAYERS, CONDITIONING, PIXELS))
        require(
            not self.edits, "an edited model has no activations without edits of its own: ask the model that was edited"
        )
        periods = tuple(one.period for one in self.settings.factors)
        period = periods[0] if len({*periods}) == 1 else periods
        self._check_step(t)
        if at is None:
            labels = self._labels(factors)
            shown = programs.true_images(self.settings, labels)
        else:
            require(not factors, f"generated images have labels already: leave out {', '.join(factors)}")
            labels, shown = at["label"].values, at["images"].values
            shown = shown if "channel" in at["images"].dims else shown[..., None]
        if layer == PIXELS:
            return Activations(shown, labels, layer, 0, period)
        bound = self.settings.program, self.params, self._seed(seed), self.step
        return Activations(programs.encode(bound, layer, shown, labels, t), labels, layer, t, period)

    @property
    def training_labels(self) -> np.ndarray:
        """float32[L, K], labels of the images that the model was trained on, in the data's frame.

        >>> load("runs/quickstart").member(increment=0.5, seed=1).training_labels.shape
        (256, 2)
        """
        from diffgeo.data.sources import source_of

        table = source_of(self.settings).table()
        return table.centers[: int(table.count)]

    def tangent_kernel(self, *, t: int, draws: int = 4, seed: int | None = None, **factors: Any) -> np.ndarray:
        """Return the empirical neural tangent kernel between labels [Jacot et al. 2018].

        Inner products of gradients with respect to all P parameters. The output is a random sum over the pixels of the
        prediction at one noised gray image, the same for all labels; the mean over draws estimates the trace over
        pixels. Memory: S P floats.

        Args:
          t: diffusion step, 1 .. T.
          draws: of image noise and of weights of the sum, over which the kernel is averaged.
          seed: of these; None for the model's own.
          **factors: as for `sample`.

        Returns:
          float32[S, S], symmetric and, up to rounding, positive semi-definite.

        Raises:
          UserError: for a step outside 1 .. T, fewer than one draw, labels as for `sample`, or an edited model.

        >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
        >>> model.tangent_kernel(x=[2, 4, 6], y=4, t=10, draws=1).shape
        (3, 3)
        """
        from diffgeo.model import programs

        require(not self.edits, "an edited model has no tangent kernel: ask the model that was edited")
        self._check_step(t)
        check_value("draws", draws, int)
        require(draws >= 1, f"draws={draws} must be at least 1")
        bound = self.settings.program, self.params, self._seed(seed), self.step
        return programs.tangent_kernel(bound, self._labels(factors), t, draws)

    def _check_step(self, t: int) -> None:
        """Raise `UserError` unless this is a diffusion step."""
        check_value("t", t, int)
        last = self.settings.diffusion.timesteps
        require(1 <= t <= last, f"t={t} is no diffusion step: choose one from 1 to {last}")

    def _labels(self, factors: Mapping[str, Any]) -> np.ndarray:
        """Return float32[S, K], the labels asked for, or those of the run's evaluations."""
        known = [factor.name for factor in self.settings.factors]
        for name in factors:
            require(name in known, f"unknown factor {name!r}{suggestion(name, known)}")
        if not factors:
            from diffgeo.model import programs

            return programs.own_labels(self.settings)
        missing = [name for name in known if name not in factors]
        require(not missing, f"labels have factors {', '.join(known)}: give {', '.join(missing)} too")
        values = [_numbers(name, factors[name]) for name in known]
        try:
            columns = np.broadcast_arrays(*values)
        except ValueError as error:
            shapes = " and ".join(f"{name} {value.shape}" for name, value in zip(known, values, strict=True))
            raise UserError(f"labels do not broadcast against each other, {shapes}: give arrays that do") from error
        labels = np.stack([column.ravel() for column in columns], axis=1)
        require(len(labels) > 0, "no label is given: give at least one value of each factor")
        require(bool(np.isfinite(labels).all()), "a label is not finite: give numbers in pixels")
        return labels

    def _added(self, layer: str, count: int) -> np.ndarray:
        """Return float32[S, h, w, c], what is added to a layer's activations."""
        from diffgeo.model import programs

        shape = count, *programs.layer_shape(self.settings.program, layer)
        try:
            return np.broadcast_to(self.edits[layer], shape)
        except ValueError as error:
            has = self.edits[layer].shape
            raise UserError(
                f"the edit of {layer} has shape {has}: give an array that broadcasts against {shape}"
            ) from error

    def _steps(self, given: tuple[int, int] | None) -> tuple[int, int]:
        """Return the first and the last diffusion step at which activations are edited."""
        last = self.settings.diffusion.timesteps
        if given is None:
            return 1, last
        require(len(given) == 2, f"steps={given} must be two diffusion steps, the first and the last")
        for value in given:
            check_value("steps", value, int)
        require(
            1 <= given[0] <= given[1] <= last, f"steps={given} must be two diffusion steps in order from 1 to {last}"
        )
        return given

    def _seed(self, seed: int | None) -> int:
        if seed is None:
            return int(self.settings.axes["seed"][0])
        check_value("seed", seed, int)
        require(0 <= seed < 2**32, f"seed={seed} must be from 0 to 2**32 - 1")
        return seed

    def __repr__(self) -> str:
        about = {**self.coordinates, "step": self.step} | ({"edited": "+".join(self.edits)} if self.edits else {})
        return f"TrainedMember({', '.join(f'{name}={value}' for name, value in about.items())})"


def _numbers(factor: str, values: Any) -> np.ndarray:
    """Return float32[...], a factor's values."""
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{factor}={values!r} is neither a number nor an array of numbers") from error
