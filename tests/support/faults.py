"""Faults planted in copies of a finished run, and what becomes of each: right, silently wrong, or a traceback.

Right is one sentence (`UserError`), or the numbers that the run had. Cases are enumerated or drawn from a seed.
"""

import copy
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

import diffgeo as dg
from diffgeo import results
from diffgeo.errors import UserError
from diffgeo.report import summary
from diffgeo.results import open_workdir
from diffgeo.results.workdir import CONFIG, read_run
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.settings import Grid, Settings
from tests.support import fault_edits as edits
from tests.support.damage import DAMAGES, damage
from tests.support.runs import WAVE

RIGHT, SILENT, TRACEBACK, LOST = "right", "silent", "traceback", "lost"


class Case(NamedTuple):
    """One planted fault: its name, how it is planted, and what then looks and returns whether it saw right numbers."""

    name: str
    plant: Callable[[], object]
    look: Callable[[], bool]


class Outcome(NamedTuple):
    """What became of a case."""

    case: str
    verdict: str
    said: str


def run(cases: Iterable[Case], undo: Callable[[], object]) -> Iterator[Outcome]:
    """Plant each fault, look, undo it."""
    for case in cases:
        case.plant()
        try:
            verdict, said = (RIGHT if case.look() else SILENT), ""
        except UserError as error:
            verdict, said = RIGHT, str(error)
        except Exception as error:  # what a user would see as a traceback
            verdict, said = TRACEBACK, f"{type(error).__name__}: {error}"
        yield Outcome(case.name, verdict, said)
        undo()


def judge(
    case: str,
    ended: tuple[int, str],
    differs: Callable[[], str],
    again: Callable[[], tuple[int, str]],
    stopped: tuple[int, ...] = (2,),
) -> Outcome:
    """Return what became of a disturbed program, and of the same command given again.

    Args:
      case: its name.
      ended: its exit status, and what it said on stderr but for progress.
      differs: returns what the run has otherwise than an undisturbed one, "" for nothing.
      again: gives the same command again and returns how that ended.
      stopped: exit statuses by which the first may end before its time.
    """
    status, said = ended
    if "Traceback" in said or status not in (0, *stopped):
        return Outcome(case, TRACEBACK, f"{status}: {said}")
    if status == 0 and (other := differs()):
        return Outcome(case, SILENT, f"ended, but {other}")
    if status == 2 and len(said.splitlines()) != 1:
        return Outcome(case, TRACEBACK, f"more than one line: {said}")
    status, words = again()
    if status != 0 or "Traceback" in words or (other := differs()):
        verdict = TRACEBACK if "Traceback" in words else LOST
        return Outcome(case, verdict, f"{said} | again, {status}: {words or other}")
    return Outcome(case, RIGHT, said)


VERDICTS = (RIGHT, SILENT, TRACEBACK, LOST)
HEAD = f"| fault | tried | {' | '.join(VERDICTS)} |\n|---|---|---|---|---|---|"


def row(name: str, outcomes: list[Outcome]) -> str:
    """Return a row of the Markdown table below `HEAD`."""
    counts = [sum(outcome.verdict == verdict for outcome in outcomes) for verdict in VERDICTS]
    return f"| {name} | {len(outcomes)} | {' | '.join(map(str, counts))} |"


def checkpoints(whole: Path, scratch: Path, kind: str, every: int = 1) -> list[Outcome]:
    """Damage every file of the newest checkpoint of a kind in every way; restore the newest that is left.

    Args:
      whole: the sound run.
      scratch: a folder to copy to.
      kind: "state" or "params".
      every: takes each so-manieth case.
    """
    wave = scratch / "wave"
    shutil.copytree(whole / WAVE, wave)
    steps = sorted(int(step.name) for step in (wave / kind).iterdir())[-2:]
    truth = {step: _tree(wave / kind / str(step) / "default") for step in steps}
    target = jax.tree.map(np.zeros_like, truth[steps[-1]])
    newest = Path(kind) / str(steps[-1])
    files = sorted(path.relative_to(wave) for path in (wave / newest).rglob("*") if path.is_file())

    def undo() -> None:
        shutil.rmtree(wave / newest, ignore_errors=True)
        shutil.rmtree(wave / "damaged", ignore_errors=True)
        shutil.copytree(whole / WAVE / newest, wave / newest)

    def look() -> bool:
        with Checkpoints(wave, [].append) as store:
            if kind == "state":
                store.settle_state()
                assert store.state_step is not None
                step, found = store.state_step, store.restore_state(target)
            else:
                step = steps[-1] if store.settle_params(steps[-1]) else steps[0]
                found = {name: store.restore_params(target[name], step, name) for name in target}
        same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), found, truth[step])
        return all(jax.tree.leaves(same))

    cases = [
        Case(f"{file} {how}", lambda file=file, how=how, seed=seed: damage(wave / file, how, seed), look)
        for seed, (file, how) in enumerate((file, how) for file in files for how in DAMAGES)
    ]
    return list(run(cases[::every], undo))


def _tree(item: Path) -> dict[str, Any]:
    """Return a checkpoint as nested dicts of numpy arrays, by orbax alone."""
    with ocp.PyTreeCheckpointer() as reader:
        tree = reader.metadata(item.absolute()).item_metadata.tree
        plain = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        return jax.tree.map(np.asarray, reader.restore(item.absolute(), restore_args=plain))


def chunks(whole: Path, scratch: Path, every: int = 1) -> list[Outcome]:
    """Damage every file of the results in every way; load all of them."""
    folder = scratch / "run"
    folder.mkdir()
    shutil.copyfile(whole / CONFIG, folder / CONFIG)
    stored, copied = open_workdir(whole).results, open_workdir(folder).results
    shutil.copytree(stored, copied)
    truth = _values(results.open_results(folder))
    files = sorted(path.relative_to(copied) for path in copied.rglob("*") if path.is_file())
    touched: list[Path] = []

    def plant(file: Path, how: str, seed: int) -> None:
        touched.append(file)
        damage(copied / file, how, seed)

    def undo() -> None:
        file = touched.pop()
        shutil.copyfile(stored / file, copied / file)

    cases = [
        Case(
            f"{file} {how}",
            lambda file=file, how=how, seed=seed: plant(file, how, seed),
            lambda: _equal(_values(results.open_results(folder)), truth),
        )
        for seed, (file, how) in enumerate((file, how) for file in files for how in DAMAGES)
    ]
    return list(run(cases[::every], undo))


def _values(dataset: Any) -> dict[str, np.ndarray]:
    return {str(name): np.asarray(variable.values) for name, variable in dataset.variables.items()}


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(value, other[name], equal_nan=value.dtype.kind == "f") for name, value in one.items()
    )


def configs(whole: Path, scratch: Path) -> list[Outcome]:
    """Edit the configuration as people do; open the folder as every program does."""
    folder = scratch / "run"
    folder.mkdir()
    shutil.copytree(open_workdir(whole).results, open_workdir(folder).results)
    content = (whole / CONFIG).read_text()
    sound = json.loads(content)

    def opened() -> tuple:
        _, config = read_run(folder)
        settings = Settings.from_json(config["settings"])
        loaded = dg.load(folder)
        waves = Grid(settings).waves_of(config)
        listed = [[str(member) for member in wave] for wave in waves]
        return settings, loaded.settings, loaded.name, loaded.preset, listed, config.get("members_at_once")

    def undo() -> None:
        (folder / CONFIG).write_text(content)

    undo()
    truth = opened()
    cases = [
        Case(name, lambda text=text: (folder / CONFIG).write_text(text), lambda: opened() == truth)
        for name, text in edits.of_config(sound)
    ]
    return list(run(cases, undo))


def summaries(whole: Path, scratch: Path, flips: int = 16) -> list[Outcome]:
    """Corrupt a summary of the run, and its metadata as a stranger would; read it."""
    path = scratch / "run.zip"
    summary.write(results.load_results(whole), path)
    content = path.read_bytes()
    truth = _values(summary.read(path))
    with zipfile.ZipFile(path) as archive:
        files = {entry.filename: archive.read(entry) for entry in archive.infolist()}

    def write(changed: dict[str, bytes]) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in changed.items():
                archive.writestr(name, data)

    def look() -> bool:
        return _equal(_values(summary.read(path)), truth)

    cases = [
        Case(f"{how} {seed}", lambda h=how, s=seed: damage(path, h, s), look) for how, seed in edits.of_bytes(flips)
    ]
    cases += [Case(f"cut at {size}", lambda size=size: path.write_bytes(content[:size]), look) for size in (3, 1000)]
    cases += [
        Case(name, lambda changed=changed: write(changed), look)
        for name, changed in edits.of_store(copy.deepcopy(files))
    ]
    return list(run(cases, lambda: path.write_bytes(content)))
