"""Verification of a whole work folder: its configuration, every checkpoint, every chunk of results."""

from collections.abc import Callable, Iterator
from pathlib import Path

from diffgeo.errors import DamagedError, UserError
from diffgeo.host import disk
from diffgeo.report import summary
from diffgeo.results import Workdir, checked, damage, open_results
from diffgeo.results.checkpoint_files import DIGESTS, ITEM, check
from diffgeo.results.read import describe
from diffgeo.results.workdir import CONFIG, read_run
from diffgeo.settings import Settings

KINDS = ("state", "params")
SHOWN = 20
"""Damaged parts that are named; the others are counted."""


def verify(source: str | Path, say: Callable[[str], None] = print) -> None:
    """Read everything that a run has stored, and say what is sound; nothing is written, and the run may go on.

    Args:
      source: a work folder, or a summary (.zip).
      say: called with a line for each part.

    Raises:
      UserError: if anything is damaged; names the first, the others are said before. If the disk refuses to read it.
    """
    path = disk.local_path(source)
    if summary.is_summary(path):
        summary.read(path)
        say(f"{path}: sound")
        return
    workdir, config = read_run(path)
    Settings.from_json(config["settings"])
    say(f"{CONFIG}: sound")
    with disk.refusals(path):
        bad = [*_checkpoints(workdir, say), *_results(workdir, say)]
    for line in bad[:SHOWN]:
        say(line)
    if len(bad) > SHOWN:
        say(f"and {len(bad) - SHOWN} more")
    if bad:
        raise UserError(f"{len(bad)} parts of {str(source)!r} are damaged: {bad[0]}")


def _checkpoints(workdir: Workdir, say: Callable[[str], None]) -> Iterator[str]:
    """Say how many checkpoints are sound; yield what is wrong with each of the others."""
    sound, undigested, wrong = 0, 0, []
    folders = sorted((workdir.path / "checkpoints").glob("wave_*"))
    steps = [step for folder in folders for kind in KINDS for step in (folder / kind).glob("*") if step.name.isdigit()]
    for step in sorted(steps):
        found = check(step.absolute())
        if found is None:
            sound += 1
            undigested += not (step / ITEM / DIGESTS).exists()
        elif step.exists():  # a run that goes on deletes old ones
            wrong.append(f"checkpoint {str(step)!r} is damaged: {found}")
    without = f", {undigested} of them without digests to compare with" if undigested else ""
    say(f"checkpoints: {sound} of {sound + len(wrong)} sound{without}")
    yield from wrong


def _results(workdir: Workdir, say: Callable[[str], None]) -> Iterator[str]:
    """Say how many chunks of results are sound; yield what is wrong with each of the others."""
    path = workdir.results
    if not path.exists():
        say("results.zarr: none")
        return
    try:
        read = checked.read_folder(path)
    except DamagedError as error:
        say("results.zarr: damaged")
        yield f"the metadata of results {str(path)!r} are damaged: {error}"
        return
    found = list(damage.find(path, read))
    wrong = [one for one in found if one is not None]
    if not wrong:
        open_results(workdir.path)  # raises if its arrays are not of its settings
    plain = sum(not info.checked for info in read.arrays.values())
    without = f"; {plain} of {len(read.arrays)} variables have no checksums, as in earlier versions" if plain else ""
    say(f"results.zarr: {len(found) - len(wrong)} of {len(found)} chunks sound{without}")
    for one in wrong:
        yield f"{describe(read, one.chunk)} of the results is damaged: {one.chunk.file} {one.wrong}"
