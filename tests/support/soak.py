"""Watch a real program train for hours: python -m tests.support.soak MINUTES FOLDER.

Its memory and its number of open files are read every few seconds and written to FOLDER/soak.csv. At the end it is
asked to stop, as a cluster would. Printed are medians of the second and the last tenth of the time: in the first,
programs compile.
"""

import csv
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.support.programs import command, environment

EVERY, WITHIN = 5.0, 0.05
FLAGS = (
    "--experiment=p2_fig4",
    "--preset=tiny",
    "--keep=last",
    "--set=train.steps=400000",
    "--set=evaluation.every_steps=400",
)


def look(process: int) -> tuple[float, int]:
    """Return a process's resident memory in MB and its number of open files, as Linux counts them."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024, len(list(Path(f"/proc/{process}/fd").iterdir()))


def watch(program: subprocess.Popen, minutes: float, log: Path) -> list[tuple[float, float, int]]:
    """Return and write rows of minutes since the start, MB and open files, until the time is over or it ends."""
    rows, start = [], time.monotonic()
    with open(log, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("minutes", "megabytes", "open files"))
        while program.poll() is None and (now := (time.monotonic() - start) / 60) < minutes:
            rows.append((round(now, 2), *look(program.pid)))
            writer.writerow(rows[-1])
            out.flush()
            time.sleep(EVERY)
    return rows


def judged(rows: list[tuple[float, float, int]]) -> tuple[bool, str]:
    """Return whether memory stayed within 5 % and open files the same, and the numbers in words."""
    tenth = len(rows) // 10
    early, late = rows[tenth : 2 * tenth], rows[-tenth:]
    memory = [statistics.median(row[1] for row in part) for part in (early, late)]
    files = [statistics.median(row[2] for row in part) for part in (early, late)]
    flat = abs(memory[1] / memory[0] - 1) <= WITHIN and files[0] == files[1]
    numbers = f"{memory[0]:.0f} and {memory[1]:.0f} MB, {files[0]:.0f} and {files[1]:.0f} open files"
    return flat, f"{rows[-1][0]:.0f} min: {numbers}"


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log", "w") as out:
        started = subprocess.Popen(
            command("train", *FLAGS, f"--workdir={folder / 'run'}"), env=environment(), stdout=out, stderr=out
        )
        seen = watch(started, float(sys.argv[1]), folder / "soak.csv")
        started.send_signal(signal.SIGTERM)
        status = started.wait()
    sound, words = judged(seen)
    print(words)
    sys.exit(0 if sound and status == 128 + signal.SIGTERM else 1)
