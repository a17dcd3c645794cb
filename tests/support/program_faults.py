"""Faults of the world around a real program: calls that a disk refuses, kills, two starts at once.

Right is a sentence and exit status 2, or the numbers of an undisturbed run; and the same command, given again, ends
with those numbers. Programs train a network that compiles in a second.
"""

import errno
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from diffgeo.errors import UserError, one_line
from diffgeo.host.distributed import FAILED
from tests.support.faults import LOST, RIGHT, SILENT, TRACEBACK, Outcome, judge
from tests.support.programs import command, environment, free_port
from tests.support.trained import assert_same_members

FLAGS = ("--experiment=quickstart", "--preset=tiny", "--seeds=0")
SOURCE = Path(__file__).with_name("failing_calls.c")
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EIO)
PROGRESS = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d |^\s*$")


def start(folder: Path, *flags: str, **variables: str) -> subprocess.Popen:
    """Start the program on a folder."""
    given = command("train", *FLAGS, *flags, f"--workdir={folder}", small=True)
    return subprocess.Popen(
        given, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(program: subprocess.Popen) -> tuple[int, str]:
    """Wait for a program; return its exit status, and its lines on stderr but for progress."""
    _, stderr = program.communicate(timeout=300)
    return program.returncode, without_progress(stderr)


def without_progress(stderr: str) -> str:
    """Return what a program said on stderr but for progress."""
    return "\n".join(line for line in re.split(r"[\r\n]+", stderr) if not PROGRESS.search(line))


def whole(folder: Path) -> Path:
    """Return a run that nothing disturbs."""
    status, said = finish(start(folder))
    assert status == 0, said
    return folder


def judged(
    case: str, reference: Path, folder: Path, ended: tuple[int, str], stopped: tuple[int, ...] = (2,)
) -> Outcome:
    """Return what became of a disturbed program in a folder, by the numbers of an undisturbed run; see `judge`."""
    return judge(case, ended, lambda: difference(reference, folder), lambda: finish(start(folder)), stopped)


def difference(reference: Path | xr.Dataset, folder: Path) -> str:
    """Return what the results in a folder have otherwise than an undisturbed run, "" for nothing."""
    try:
        assert_same_members(reference, folder)
    except (AssertionError, UserError) as error:
        return one_line(error, 300)
    return ""


def library(folder: Path) -> Path:
    """Compile the calls that fail; a C compiler is needed."""
    made = folder / "failing_calls.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl"], check=True)
    return made


def refused_call(reference: Path, scratch: Path, share: float) -> Outcome:
    """Let one call that changes something in the run's folder fail; `tests.support.refused_calls` has all of them.

    Args:
      reference: the undisturbed run.
      scratch: a folder of this function's own.
      share: of the run's calls that come before it.
    """
    preload, log = str(library(scratch)), scratch / "log"

    def disturbed(folder: Path, at: int, error: int) -> tuple[tuple[int, str], str]:
        variables = {"LD_PRELOAD": preload, "FAULT_FOLDER": str(folder), "FAULT_AT": str(at), "FAULT_LOG": str(log)}
        log.unlink(missing_ok=True)
        return finish(start(folder, **variables, FAULT_ERRNO=str(error))), log.read_text()

    (status, said), counted = disturbed(scratch / "counted", 0, 0)
    assert status == 0, said
    calls = max(int(line.split()[1]) for line in counted.splitlines() if line.startswith("calls"))
    at = 1 + int(share * calls)
    error = ERRORS[at % len(ERRORS)]
    ended, failed = disturbed(scratch / "run", at, error)
    name = next((line for line in failed.splitlines() if line.startswith("failed")), "none failed")
    return judged(f"call {at} of {calls}, {errno.errorcode[error]}: {name}", reference, scratch / "run", ended)


def kills(reference: Path, scratch: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Kill the program at times drawn from a seed, from its first line of code to its end."""
    before = time.monotonic()
    whole(scratch / "timed")
    lasts, choose = time.monotonic() - before, random.Random(seed)
    for number in range(count):
        folder, after = scratch / "run", choose.uniform(0, lasts)
        program = start(folder)
        try:
            program.wait(after)
        except subprocess.TimeoutExpired:
            program.kill()
        name = f"kill {number} after {after:.2f} s"
        yield judged(name, reference, folder, finish(program), (-signal.SIGKILL,))
        shutil.rmtree(folder, ignore_errors=True)


def pair(folder: Path) -> list[subprocess.Popen]:
    """Start one run as two processes."""
    shared = ("--lost_after=10", "--start_within=60", f"--coordinator=127.0.0.1:{free_port()}", "--processes=2")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "4"}  # as launch sets it, before JAX is imported, which the small network does
    return [start(folder, *shared, f"--process={i}", **quiet) for i in range(2)]


def kills_of_two(scratch: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Kill one of a run's two processes at times drawn from a seed: the other ends with a sentence.

    The reference is an undisturbed run of two processes; and two go on afterwards.
    """
    before, reference, choose = time.monotonic(), scratch / "whole", random.Random(seed)
    ended = [finish(program) for program in pair(reference)]
    assert [status for status, _ in ended] == [0, 0], ended
    lasts = time.monotonic() - before
    for number in range(count):
        folder, after, victim = scratch / "run", choose.uniform(0, lasts), choose.randrange(2)
        programs = pair(folder)
        try:
            programs[victim].wait(after)
        except subprocess.TimeoutExpired:
            programs[victim].kill()
        status, said = [finish(program) for program in programs][1 - victim]
        again = [finish(program) for program in pair(folder)]
        name = f"kill {number} of process {victim} after {after:.2f} s"
        if "Traceback" in said or status not in (0, FAILED) or (status == FAILED and len(said.splitlines()) != 1):
            yield Outcome(name, TRACEBACK, f"{status}: {said}")
        elif [status for status, _ in again] != [0, 0]:
            yield Outcome(name, TRACEBACK if "Traceback" in str(again) else LOST, f"{said} | again: {again}")
        else:
            yield Outcome(name, SILENT if difference(reference, folder) else RIGHT, said)
        shutil.rmtree(folder, ignore_errors=True)


def double_starts(reference: Path, scratch: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Start the same command twice, at once or shortly after: one of them trains, and the other says so or waits."""
    choose = random.Random(seed)
    for number in range(count):
        folder, apart = scratch / "run", choose.choice((0.0, choose.uniform(0, 3)))
        first = start(folder)
        time.sleep(apart)
        second = start(folder)
        ended = [finish(program) for program in (first, second)]
        name = f"two starts {number}, {apart:.2f} s apart"
        statuses = sorted(status for status, _ in ended)
        if statuses not in ([0, 0], [0, 2]):
            yield Outcome(name, TRACEBACK, str(ended))
        else:
            yield judged(name, reference, folder, max(ended))
        shutil.rmtree(folder, ignore_errors=True)
