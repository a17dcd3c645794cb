"""The loop over waves and chunks: train, checkpoint, sample, read out, write results, draw."""

import contextlib
import functools
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray
from tqdm import tqdm

from diffgeo import analysis, batches, datasets, mapping, processes, readout, results
from diffgeo.background import Background
from diffgeo.checkpoints import Checkpoints
from diffgeo.errors import Interrupted, UserError
from diffgeo.evaluation import Wave, empty_results, evaluate, waves
from diffgeo.experiment import Plot
from diffgeo.grid import Grid
from diffgeo.limits import NEVER
from diffgeo.mapping import Layout
from diffgeo.pictures import draw
from diffgeo.settings import Settings, with_defaults
from diffgeo.workdir import Workdir, first_difference

SAVE_SECONDS = 600
"""Longest time that training goes on between two saves of the state: what a kill without warning may cost."""

SAVE = 1
"""A wish to save and go on; below the numbers of the signals that a run stops by, which outrank it."""


@dataclass(frozen=True)
class Run:
    """A grid laid out on this machine's devices, and the folder it lives in.

    Attributes:
      experiment: name, for the record.
      preset: name, for the record.
      settings: what determines the numbers.
      layout: how devices are used; not part of the folder's identity.
      analyses: groups of `representation.GROUPS` to measure every checkpoint by; not part of it either.
    """

    experiment: str
    preset: str
    settings: Settings
    layout: Layout = field(default_factory=Layout)
    analyses: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The run's grid."""
        return Grid(self.settings)

    @property
    def identity(self) -> dict:
        """What a work folder must agree on, as plain JSON."""
        tree = {"experiment": self.experiment, "preset": self.preset, "settings": self.settings.to_json()}
        return json.loads(json.dumps(tree))


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
    counts = [int(datasets.build(member.settings.data).count) for member in largest]
    rows, settings = datasets.padded(max(counts)), largest[0].settings
    drawn = batches.labels_drawn(settings.evaluation.labels, settings.evaluation.count, settings.data.size, max(counts))
    return min(mapping.members_at_once(run.layout, largest, rows, drawn, bool(run.analyses)), len(largest))


def train(
    run: Run,
    folder: str | Path,
    plots: Sequence[Plot] = (),
    provenance: Mapping[str, str] | None = None,
    waves_wanted: int | None = None,
    say=processes.say,
) -> xarray.Dataset:
    """Trains a grid in a work folder to its end, from wherever the folder stands.

    Several processes call it together, on one folder that all of them see; process 0 draws and analyses at the end.

    Args:
      run: what to train.
      folder: the work folder, made if need be.
      plots: pictures drawn into DIR/figures at the end.
      provenance: strings stored with the results of a new run (command, commit, ...).
      waves_wanted: number of waves of a new run; None takes as few as fit the devices.
      say: where one-line messages go.

    Returns:
      The results, loaded but for snapshots; of several processes as far as they are on all but process 0.

    Raises:
      UserError: for a folder of another configuration or in use, or a damaged checkpoint.
      Interrupted: after SIGTERM or SIGINT, with the state saved.
    """
    readout.load_packages()
    workdir = Workdir(folder)
    config = processes.decide(lambda: settle(run, workdir))
    at_once = config["members_at_once"] if config else members_at_once(run, waves_wanted)
    planned = waves(run.grid, at_once)
    mappings = {w.index: run.layout.over(w.members, w.rows) for w in planned}  # refuses before the disk is touched
    with workdir:
        config = run.identity | {"members_at_once": at_once}
        store = _open_store(run, workdir, planned, provenance or {}, config)
        _verify(planned, workdir, store)
        total = run.settings.train.steps * len(planned)
        before = 0
        with _Stopper() as stopper, _progress(total) as bar:
            for wave in planned:
                with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints, Background() as reader:
                    complete = checkpoints.state_step == wave.members[0].settings.train.steps
                    if complete and not store.missing(wave.members):
                        before += 1
                        bar.update(wave.members[0].settings.train.steps)
                        continue
                    # popped: a wave's state is not kept while the next one trains
                    _train_wave(run, wave, mappings.pop(wave.index), checkpoints, store, reader, stopper, bar, say)
        if not processes.leave():
            return results.load_results(folder)
        _measure(run, workdir, store, say)
        if before == len(planned):
            say(f"the run in {folder} is complete: nothing left to train")
        found = results.load_results(folder)
        draw(found, plots, workdir.figures, say)
    return found


def analyze(run: Run, folder: str | Path, plots: Sequence[Plot] = (), say=processes.say) -> xarray.Dataset:
    """Evaluates every stored checkpoint of a run whose results lack it, then draws the figures.

    Needs no training state, and any number of devices will do. Arguments and errors as `train`'s.
    """
    readout.load_packages()
    workdir = Workdir(folder)
    config = processes.decide(lambda: settle(run, workdir))
    if config is None:
        raise UserError(f"no run in {str(folder)!r}: start one there with launch.train first")
    planned = waves(run.grid, config["members_at_once"])
    with workdir:
        store = _open_store(run, workdir, planned, {})
        todo = []
        for wave in planned:
            with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                stored = set(checkpoints.params_steps)
            needed = ("accuracy", "scores") if run.analyses else ("accuracy",)
            missing = {step for name in needed for step in store.missing(wave.members, name)}
            todo += [(wave, step) for step in sorted(missing & stored)]
        mapped = None
        with Background() as reader:
            for wave, step in tqdm(todo, unit="checkpoint", disable=not todo or not processes.first()):
                if mapped is None or mapped.members != wave.members:
                    mapped = run.layout.over(wave.members, wave.rows)
                with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                    name = "ema" if run.settings.evaluation.use_ema else "params"
                    target = getattr(mapped.abstract_state, name)
                    params = mapped.place(checkpoints.restore_params(target, step, name))
                evaluate(wave, mapped, params, step, store, reader, bool(run.analyses))
        if not processes.leave():
            return results.load_results(folder)
        measured = _measure(run, workdir, store, say)
        if not todo and not measured:
            say(f"every checkpoint in {folder} is analysed already")
        found = results.load_results(folder)
        draw(found, plots, workdir.figures, say)
    return found


def _verify(planned: Sequence[Wave], workdir: Workdir, store: results.Results) -> None:
    """Raises `UserError` if the state that the run would go on from is damaged; before progress is shown."""
    for wave in planned:
        if store.missing(wave.members):
            with Checkpoints(workdir.checkpoints(wave.index)) as checkpoints:
                checkpoints.verify_state()
            return


def _open_store(
    run: Run, workdir: Workdir, planned: Sequence[Wave], provenance: Mapping[str, str], config: dict | None = None
) -> results.Results:
    """The folder's results, made if there are none, with every variable that this run fills.

    Without them the configuration, if given, is written first: process 0 of several makes both.
    """
    processes.decide(lambda: _prepare(run, workdir, planned, provenance, config))
    return results.Results(workdir.results, run.grid)


def _prepare(run: Run, workdir: Workdir, planned: Sequence[Wave], provenance, config: dict | None) -> None:
    settle(run, workdir)  # again, now that the folder is held
    if config is not None and not workdir.results.exists():
        workdir.write_config(config)
    about = {"experiment": run.experiment, "preset": run.preset, "settings": json.dumps(run.settings.to_json())}
    empty = empty_results(run.grid, planned, run.analyses, about | dict(provenance))
    if workdir.results.exists():
        results.Results.extend(workdir.results, empty)
    else:
        results.Results.create(workdir.results, empty)


def _measure(run: Run, workdir: Workdir, store: results.Results, say) -> bool:
    """Analyses all snapshots that are not yet; whether there were any. Raises `Interrupted` after a signal."""
    worked = False
    with _Stopper() as stopper:

        def watched(tasks):
            nonlocal worked
            for task in tqdm(tasks, unit="cloud", desc="analysis", disable=not tasks, dynamic_ncols=True):
                worked = True
                yield task
                if stopper.signum is not None:
                    raise Interrupted(stopper.signum, "stopped during the analysis: run again to go on")

        def read():
            return results.open_results(workdir.path)

        analysis.complete(store, read, run.grid.members, run.analyses, watched, say)
    return worked


def _train_wave(run: Run, wave: Wave, mapped, checkpoints: Checkpoints, store, reader, stopper, bar, say) -> None:
    """Trains and evaluates one wave from its newest state to its last step.

    An evaluation is read out behind the training of the next steps, and is written before their state is saved: a run
    killed at any moment goes on from a state that is no later than the first evaluation that it lacks.
    """
    settings = wave.members[0].settings
    every, chunk = settings.evaluation.every, run.layout.chunk
    step = checkpoints.state_step or 0
    if checkpoints.state_step is None:
        mapped.initialise()
    else:
        mapped.load(checkpoints.restore_state(mapped.abstract_state))
    bar.update(step)
    bar.set_postfix(members=len(wave.members), refresh=False)
    # a loss may lack where launch.analyze has filled in the rest
    missing = set(store.missing(wave.members)) | set(store.missing(wave.members, "loss")) - {0}
    frozen: set[int] = set()
    shown = {"members": len(wave.members)}
    for target in settings.evaluation_steps:
        if target < step:
            continue
        waiting, handle = None, None
        while step < target:
            steps = min(chunk - step % chunk, target - step)
            stopper.ask()
            # the loss of the chunk before is fetched while this one runs
            waiting, handle = handle, mapped.advance(steps)
            step += steps
            if waiting is not None:
                losses = mapped.losses(waiting, every)
                shown["loss"] = f"{np.mean(losses) if losses.size else np.nan:.4f}"
            bar.set_postfix(shown, refresh=False)
            bar.update(steps)
            wish = stopper.agreed
            if wish is not None:
                reader.settle()
                checkpoints.save_state(step, mapped.state())
                stopper.saved()
                if wish == SAVE:
                    checkpoints.release()
                    continue
                checkpoints.wait()
                raise Interrupted(
                    wish, f"stopped at step {step} of {settings.train.steps}, state saved: run again to go on"
                )
        reader.settle()
        state = mapped.state()
        checkpoints.save_params(step, state.params, state.ema)
        checkpoints.save_state(step, state)
        stopper.saved()
        loss_sum, frozen_steps = mapped.totals()
        if step in missing:
            evaluate(
                wave,
                mapped,
                mapped.parameters(settings.evaluation.use_ema),
                step,
                store,
                reader,
                bool(run.analyses),
                None if step == 0 else loss_sum / ((step - 1) % every + 1),
                lambda accuracy: shown.update(accuracy=f"{accuracy:.2f}"),
            )
        _report_frozen(wave, frozen_steps, frozen, store, reader, say)
        checkpoints.release()
    reader.settle()
    bar.set_postfix(shown)


def _report_frozen(wave: Wave, steps: np.ndarray, known: set[int], store, reader, say) -> None:
    """Names members that were frozen since the last look, in the log and the results."""
    new = [i for i, at in enumerate(steps) if at != NEVER and i not in known]
    for i in new:
        say(f"member {wave.members[i]}: loss not finite at step {steps[i]}, frozen there; the others go on")
        known.add(i)
    if new and processes.first():
        reader.do(functools.partial(store.write, wave.members, {"frozen_step": steps}))


def _progress(total: int) -> tqdm:
    """The one progress bar: on a terminal redrawn, in a log file a line now and then."""
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit="step",
        dynamic_ncols=True,
        mininterval=0.5 if interactive else 30.0,
        smoothing=0.1,
        disable=not processes.first(),
    )


class _Stopper(contextlib.AbstractContextManager):
    """Notes SIGTERM and SIGINT so that the loop can save and stop; a second one acts at once. Tells when to save."""

    def __init__(self):
        self.signum = None
        self._before = {}
        self._answer = None
        self.saved()

    def saved(self) -> None:
        """Notes that the state was saved just now."""
        self._saved_at = time.monotonic()

    @property
    def _wish(self) -> int:
        late = time.monotonic() - self._saved_at >= SAVE_SECONDS
        return self.signum or (SAVE if late else 0)

    def ask(self) -> None:
        """Starts asking all processes for a signal, so that they stop or save at one step; see `agreed`."""
        self._answer = processes.greatest(self._wish) if processes.shared() else None

    @property
    def agreed(self) -> int | None:
        """The signal to stop by, or `SAVE`: this process's, or of several, what some had when all last asked."""
        return (self._wish if self._answer is None else self._answer()) or None

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
