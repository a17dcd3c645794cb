"""The loop over waves and chunks: train, checkpoint, sample, read out, write results, draw."""

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import xarray
from tqdm import tqdm

from diffgeo import datasets, images, mapping, readout, regions, results
from diffgeo.checkpoints import Checkpoints
from diffgeo.errors import UserError
from diffgeo.experiment import Plot
from diffgeo.grid import Grid, Member, member_key, stream
from diffgeo.mapping import Layout
from diffgeo.settings import Settings, with_defaults
from diffgeo.train import NEVER
from diffgeo.workdir import Workdir, first_difference


class Interrupted(Exception):
    """The run was asked to stop by a signal; its state is saved."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


@dataclass(frozen=True)
class Run:
    """A grid laid out on this machine's devices, and the folder it lives in.

    Attributes:
      experiment: name, for the record.
      preset: name, for the record.
      settings: what determines the numbers.
      layout: how devices are used; not part of the folder's identity.
    """

    experiment: str
    preset: str
    settings: Settings
    layout: Layout = field(default_factory=Layout)

    @property
    def grid(self) -> Grid:
        """The run's grid."""
        return Grid(self.settings)

    @property
    def identity(self) -> dict:
        """What a work folder must agree on, as plain JSON."""
        tree = {"experiment": self.experiment, "preset": self.preset, "settings": self.settings.to_json()}
        return json.loads(json.dumps(tree))


@dataclass(frozen=True)
class Wave:
    """Members that train together, their labels, the regions of all the grid's scores, and where checkpoints lie."""

    index: int
    members: tuple[Member, ...]
    rows: int
    labels: tuple[np.ndarray, ...]
    regions: tuple[str, ...]

    @property
    def stacked_labels(self) -> np.ndarray:
        """float32[M, S, 2]; members with fewer labels repeat their first one."""
        longest = max(len(own) for own in self.labels)
        return np.stack([np.concatenate([own, np.repeat(own[:1], longest - len(own), 0)]) for own in self.labels])


def waves(run: Run, members_at_once: int | None) -> list[Wave]:
    """The run's waves; builds every member's table on host."""
    built = {member.index: datasets.build(member.settings.data) for member in run.grid.members}
    rows = max(int(table.count) for table in built.values())
    scored = regions.names([member.settings.data for member in run.grid.members])
    found = []
    for index, members in enumerate(run.grid.waves(members_at_once)):
        labels = []
        for member in members:
            evaluation, data = member.settings.evaluation, member.settings.data
            key = stream(member_key(member.seed), "labels")
            labels.append(
                datasets.evaluation_labels(
                    built[member.index], key, evaluation.labels, evaluation.count, data.size
                ).astype(np.float32)
            )
        found.append(Wave(index, tuple(members), rows, tuple(labels), scored))
    return found


def settle(run: Run, workdir: Workdir) -> dict | None:
    """The folder's configuration if it holds this very run, None if it holds none.

    Raises:
      UserError: if it belongs to another configuration; quotes the first difference.
    """
    config = workdir.read_config()
    if config is None:
        return None
    stored = {name: config.get(name) for name in run.identity}
    found = first_difference(stored | {"settings": with_defaults(stored["settings"])}, run.identity)
    if found:
        place, stored, asked = found
        raise UserError(
            f"work folder {str(workdir.path)!r} belongs to another configuration "
            f"({place} is {json.dumps(stored)} there, {json.dumps(asked)} here): choose another --workdir"
        )
    return config


def members_at_once(run: Run, waves_wanted: int | None) -> int:
    """Members of a wave for a run that starts: from the number of waves asked for, or what fits the devices."""
    largest = max(run.grid.programs, key=len)
    if waves_wanted is not None:
        if not 1 <= waves_wanted <= len(largest):
            raise UserError(f"--waves={waves_wanted} must be from 1 to the {len(largest)} members of a program")
        return -(-len(largest) // waves_wanted)
    rows = max(int(datasets.build(m.settings.data).count) for m in largest)
    return min(mapping.members_at_once(run.layout, largest, rows), len(largest))


def train(
    run: Run,
    folder: str | Path,
    plots: Sequence[Plot] = (),
    provenance: Mapping[str, str] | None = None,
    waves_wanted: int | None = None,
    say=print,
) -> xarray.Dataset:
    """Trains a grid in a work folder to its end, from wherever the folder stands.

    Args:
      run: what to train.
      folder: the work folder, made if need be.
      plots: pictures drawn into DIR/figures at the end.
      provenance: strings stored with the results of a new run (command, commit, ...).
      waves_wanted: number of waves of a new run; None takes as few as fit the devices.
      say: where one-line messages go.

    Returns:
      The results, loaded.

    Raises:
      UserError: for a folder of another configuration or in use, members that do not divide over devices, a damaged
        checkpoint.
      Interrupted: after SIGTERM or SIGINT, with the state saved.
    """
    readout.load_packages()
    workdir = Workdir(folder)
    config = settle(run, workdir)
    at_once = config["members_at_once"] if config else members_at_once(run, waves_wanted)
    planned = waves(run, at_once)
    mappings = {w.index: run.layout.over(w.members, w.rows) for w in planned}  # refuses before the disk is touched
    with workdir:
        settle(run, workdir)
        if not workdir.results.exists():
            workdir.write_config(run.identity | {"members_at_once": at_once})
            _create_results(run, workdir, planned, provenance or {})
        store = results.Results(workdir.results, run.grid)
        _verify(planned, workdir, store)
        total = run.settings.train.steps * len(planned)
        before = 0
        with _Stopper() as stopper, _progress(total) as bar:
            for wave in planned:
                with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                    complete = checkpoints.state_step == wave.members[0].settings.train.steps
                    if complete and not store.missing(wave.members):
                        before += 1
                        bar.update(wave.members[0].settings.train.steps)
                        continue
                    _train_wave(wave, mappings[wave.index], checkpoints, store, stopper, bar, say)
        if before == len(planned):
            say(f"the run in {folder} is complete: nothing left to train")
        found = results.open_results(folder).load()
        draw(found, plots, workdir, say)
    return found


def analyze(run: Run, folder: str | Path, plots: Sequence[Plot] = (), say=print) -> xarray.Dataset:
    """Evaluates every stored checkpoint of a run whose results lack it, then draws the figures.

    Needs no training state, and any number of devices will do. Arguments and errors as `train`'s.
    """
    readout.load_packages()
    workdir = Workdir(folder)
    config = settle(run, workdir)
    if config is None:
        raise UserError(f"no run in {str(folder)!r}: start one there with launch.train first")
    planned = waves(run, config["members_at_once"])
    with workdir:
        if not workdir.results.exists():
            _create_results(run, workdir, planned, {})
        store = results.Results(workdir.results, run.grid)
        todo = []
        for wave in planned:
            with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                stored = set(checkpoints.params_steps)
            todo += [(wave, step) for step in store.missing(wave.members) if step in stored]
        if not todo:
            say(f"every checkpoint in {folder} is analysed already")
        mapped = None
        for wave, step in tqdm(todo, unit="checkpoint", disable=not todo):
            if mapped is None or mapped.members != wave.members:
                mapped = run.layout.over(wave.members, wave.rows)
            with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                name = "ema" if run.settings.evaluation.use_ema else "params"
                target = getattr(mapped.abstract_state, name)
                params = mapped.place(checkpoints.restore_params(target, step, name))
            store.write(wave.members, evaluate(wave, mapped, params, step), step)
        found = results.open_results(folder).load()
        draw(found, plots, workdir, say)
    return found


def evaluate(wave: Wave, mapped, params, step: int) -> dict[str, list]:
    """Samples of a wave's members at their labels, read out and scored: variable name -> one array per member."""
    drawn, _ = mapped.sample(params, step, wave.stacked_labels)
    pictures = images.to_uint8(drawn)
    columns: dict[str, list] = {}
    for member, own, grey in zip(wave.members, wave.labels, pictures, strict=True):
        origin = datasets.build(member.settings.data).origin
        grey = grey[: len(own)]
        read = _read(member, grey, own - origin)
        values = _scores(read, regions.masks(member.settings.data, own, wave.regions)) | {
            "prediction": read.predicted + origin,
            "samples": grey[: member.settings.evaluation.keep],
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return columns


def _scores(read: readout.Readout, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each score of `readout.summarise` in every region; no dim for a single one."""
    columns = [readout.summarise(read, mask) for mask in masks.values()]
    return {name: np.squeeze([column[name] for column in columns]) for name in columns[0]}


def ceiling(member: Member, labels: np.ndarray) -> float:
    """Accuracy that the member's read-out reaches on perfect images of float32[S, 2] labels (frame coordinates).

    Under 1 where the read-out itself fails: Alg. 1 of 2402.03305 cuts its rectangle at the border, so at N = 32 and
    sigma = 1 it is about 0.94 for d = 0.1 and 0.89 for d = 1, which looks like slower learning of sparse data.
    """
    data = member.settings.data
    at = labels - datasets.build(data).origin
    perfect = images.to_uint8(images.render(at, data.sigma, data.kind, data.size, data.periodic))
    return readout.summarise(_read(member, perfect, at))["accuracy"]


def _read(member: Member, grey: np.ndarray, at: np.ndarray) -> readout.Readout:
    """A member's samples read out by its settings; `at` are the true centres in image coordinates."""
    data = member.settings.data
    return readout.score(grey, at, member.settings.evaluation.readout, kind=data.kind, periodic=data.periodic)


def draw(found: xarray.Dataset, plots: Sequence[Plot], workdir: Workdir, say=print) -> None:
    """Draws every plot of an experiment into DIR/figures."""
    from diffgeo.plots import style  # matplotlib takes a second to import

    for plot in plots:
        path = workdir.figures / f"{plot.name}.png"
        try:
            with style.context():
                style.save(plot.draw(found), path)
        except UserError as error:  # what one picture needs may not be there; the others are still drawn
            say(f"{plot.name} is not drawn: {error}")
        else:
            say(f"wrote {path}")


def _verify(planned: Sequence[Wave], workdir: Workdir, store: results.Results) -> None:
    """Raises `UserError` if the state that the run would go on from is damaged; before progress is shown."""
    for wave in planned:
        if store.missing(wave.members):
            with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                checkpoints.verify_state()
            return


def _create_results(run: Run, workdir: Workdir, planned: Sequence[Wave], provenance: Mapping[str, str]) -> None:
    """An empty Dataset with the members' true labels filled in."""
    longest = max(len(own) for wave in planned for own in wave.labels)
    attributes = {"experiment": run.experiment, "preset": run.preset, "settings": json.dumps(run.settings.to_json())}
    empty = results.template(run.grid, longest, attributes | dict(provenance))
    for wave in planned:
        flat = empty["label"].values.reshape(-1, longest, 2)
        ceilings = empty["ceiling"].values.reshape(-1)
        origins = empty["origin"].values.reshape(-1, 2)
        for member, own in zip(wave.members, wave.labels, strict=True):
            flat[member.index, : len(own)] = own
            ceilings[member.index] = ceiling(member, own)
            origins[member.index] = datasets.build(member.settings.data).origin
    results.Results.create(workdir.results, empty)


def _train_wave(wave: Wave, mapped, checkpoints: Checkpoints, store, stopper, bar, say) -> None:
    """Trains and evaluates one wave from its newest state to its last step."""
    settings = wave.members[0].settings
    every, chunk = settings.evaluation.every, mapped.layout.chunk
    step = checkpoints.state_step or 0
    if checkpoints.state_step is None:
        mapped.initialise()
    else:
        mapped.load(checkpoints.restore_state(mapped.abstract_state))
    bar.update(step)
    bar.set_postfix(members=len(wave.members), refresh=False)
    missing = set(store.missing(wave.members))
    frozen: set[int] = set()
    shown = {"members": len(wave.members)}
    for target in settings.evaluation_steps:
        if target < step:
            continue
        waiting, handle = None, None
        while step < target:
            steps = min(chunk - step % chunk, target - step)
            # the loss of the chunk before is fetched while this one runs
            waiting, handle = handle, mapped.advance(steps)
            step += steps
            if waiting is not None:
                shown["loss"] = f"{np.mean(mapping.losses(waiting, every)):.4f}"
            bar.set_postfix(shown, refresh=False)
            bar.update(steps)
            if stopper.signum is not None:
                checkpoints.save_state(step, mapped.state())
                checkpoints.wait()
                raise Interrupted(
                    stopper.signum, f"stopped at step {step} of {settings.train.steps}, state saved: run again to go on"
                )
        state = mapped.state()
        checkpoints.save_params(step, state.params, state.ema)
        checkpoints.save_state(step, state)
        if step in missing:
            name = "ema" if settings.evaluation.use_ema else "params"
            values = evaluate(wave, mapped, mapped.parameters(name == "ema"), step)
            if step > 0:
                values["loss"] = mapping.fetch(state.loss_sum) / ((step - 1) % every + 1)
            store.write(wave.members, values, step)
            shown["accuracy"] = f"{np.mean([np.ravel(one)[0] for one in values['accuracy']]):.2f}"
            bar.set_postfix(shown)
        _report_frozen(wave, mapping.fetch(state.frozen_step), frozen, store, say)


def _report_frozen(wave: Wave, steps: np.ndarray, known: set[int], store, say) -> None:
    """Names members that were frozen since the last look, in the log and the results."""
    new = [i for i, at in enumerate(steps) if at != NEVER and i not in known]
    for i in new:
        say(f"member {wave.members[i]}: loss not finite at step {steps[i]}, frozen there; the others go on")
        known.add(i)
    if new:
        store.write(wave.members, {"frozen_step": steps})


def _progress(total: int) -> tqdm:
    """The one progress bar: on a terminal redrawn, in a log file a line now and then."""
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit="step",
        dynamic_ncols=True,
        mininterval=0.5 if interactive else 30.0,
        smoothing=0.1,
        disable=jax.process_index() != 0,
    )


class _Stopper(contextlib.AbstractContextManager):
    """Notes SIGTERM and SIGINT so that the loop can save and stop; a second one acts at once."""

    def __init__(self):
        self.signum = None
        self._before = {}

    def _note(self, signum, _):
        self.signum = signum
        signal.signal(signum, self._before[signum])

    def __enter__(self):
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_):
        for signum, handler in self._before.items():
            signal.signal(signum, handler)


def with_seeds(settings: Settings, seeds: Sequence[int]) -> Settings:
    """Settings with the seed axis replaced."""
    return dataclasses.replace(settings, axes={**settings.axes, "seed": tuple(seeds)})
