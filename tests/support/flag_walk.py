"""Command lines of the programs in forks of one process, with the library's work replaced by a record of its calls.

    python -m tests.support.flag_walk < LINES > ENDS

LINES is a JSON list of [program, flags]. For each, ENDS has the exit status, both outputs, what was called and with
what, and the flags that the program declares.
"""

import contextlib
import io
import json
import os
import re
import runpy
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import xarray as xr
from absl import flags
from matplotlib.figure import Figure

from diffgeo import growth, integrity, report, run
from diffgeo.bench import accelerator, cases, samplers, step_parts, whole_run
from diffgeo.claims import family
from diffgeo.costs import by_hand, chips, plan
from diffgeo.declared import experiments
from diffgeo.host import runtime
from diffgeo.plots import style
from diffgeo.report import forest, markdown, pages, rows, summary, watch
from diffgeo.run import folder, reproduce

CALLS: list[str] = []
FACTS = {"steps": 1, "common_pflop": 0.0, "sampling_pflop": 1.0}
CASES = {name: lambda: {"seconds": 1.0} for name in ("one", "other")}


class Storage(tuple):
    """Bytes of a plan; prints empty."""

    def _asdict(self) -> dict[str, int]:
        return {}


def record(owner: Any, name: str, answer: Callable[..., Any] = lambda *_: None) -> None:
    """Replace a function by one that notes its arguments and returns `answer` of the positional ones."""

    def called(*given: Any, **named: Any) -> Any:
        words = ", ".join([*map(repr, given), *(f"{key}={value!r}" for key, value in named.items())])
        CALLS.append(re.sub(r" at 0x\w+", "", f"{name}({words})"))
        return answer(*given)

    setattr(owner, name, called)


def replace_work() -> None:
    """Record the calls that train, measure, read results, write, wait or look for devices."""
    for owner, names in (
        (run, ["execute", "analyze"]),
        (growth, ["borrow", "extend"]),
        (integrity, ["repair", "verify"]),
        (report, ["report", "judge", "write"]),
        (reproduce, ["reproduce"]),
        (rows, ["write_csv"]),
        (pages, ["write_gallery"]),
        (runtime, ["prepare", "find_devices"]),
        (jax.distributed, ["initialize"]),
    ):
        for name in names:
            record(owner, name, (lambda *_: ()) if name == "judge" else lambda *_: None)
    record(growth, "merge", lambda *_: xr.Dataset())
    record(report, "load", lambda source: (xr.Dataset(attrs=json.loads(Path(source).read_text())), Path("r")))
    record(summary, "write", lambda *_: Path(os.devnull))
    record(markdown, "write_page", lambda path, _: path)
    record(forest, "verdict_forest", lambda _: Figure())
    record(style, "save", lambda *_: Path(os.devnull))
    record(family, "table", lambda *_: "")
    runtime.provenance = dict
    describe = by_hand.describe
    by_hand.describe = lambda settings, trained, analyses: FACTS if trained else describe(settings, trained, analyses)
    record(chips, "target")
    record(plan, "plan", lambda *_: {"programs": [{"members_at_once": 1}]})
    record(plan, "as_text", lambda *_: "planned")
    record(folder, "storage_of", lambda *_: Storage())
    for suite in (accelerator, cases, samplers, step_parts, whole_run):
        record(suite, "cases", lambda *_: dict(CASES))
    record(watch, "describe", lambda *_: "watched")
    looks = iter([False, True])
    watch.ended = lambda _: next(looks)
    record(time, "sleep")
    record(os, "sched_setaffinity")


def declared() -> dict[str, dict[str, Any]]:
    """Return name -> type, default, allowed values of the flags that this program has."""
    values = flags.FLAGS
    own = [module for module in values.flags_by_module_dict() if not {"absl", "orbax"} & {*module.split(".")}]
    return {
        flag.name: {
            "type": flag.flag_type(),
            "default": flag.default,
            "choices": list(getattr(flag.parser, "enum_values", ())),
        }
        for module in own
        for flag in values.flags_by_module_dict()[module]
    }


def follow(program: str, given: list[str], end: Path) -> None:
    """Run a program to its end in this process and write down what happened."""
    replace_work()
    sys.argv = [program, *given]
    status, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(f"launch.{program}", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            status = stop.code or 0
        except Exception:
            status = traceback.format_exc()
    ended = {"status": status, "out": out.getvalue(), "err": err.getvalue(), "calls": CALLS, "flags": declared()}
    end.write_text(json.dumps(ended))


def main() -> None:
    """Follow every command line of the standard input in a fork."""
    for name in experiments.names():
        experiments.find(name)  # imported once, in no fork
    ends = []
    with tempfile.TemporaryDirectory() as scratch:
        end = Path(scratch) / "end.json"
        for program, given in json.load(sys.stdin):
            end.unlink(missing_ok=True)
            child = os.fork()
            if child == 0:
                follow(program, given, end)
                os._exit(0)
            os.waitpid(child, 0)
            assert end.exists(), (program, given)
            ends.append(json.loads(end.read_text()))
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
