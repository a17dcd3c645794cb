"""Every flag of every program: help names it with its default, a changed value changes what the program does or prints,
and a bad one is one sentence.

The programs run as they are, but for the library's work, of which the calls are compared (tests/support/flag_walk.py).
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from diffgeo import results
from diffgeo.declared import experiments
from diffgeo.run import Run
from tests.support.own import OWN, write_own
from tests.support.programs import REPOSITORY, environment


@dataclass(frozen=True)
class Case:
    """Command lines of a flag.

    Attributes:
      changed: flags that each change what the program does with `base`.
      bad: flags that are each refused behind `base`.
      base: flags in place of the program's own, if they differ.
    """

    changed: tuple[str, ...]
    bad: tuple[str, ...] = ()
    base: str | None = None


def switch(name: str, base: str | None = None) -> dict[str, Case]:
    return {name: Case((f"--{name}",), (f"--{name}=maybe",), base)}


def startup(base: str) -> dict[str, Case]:
    """Return the cases of the flags that `program.start_jax` reads."""
    among = f"{base} --coordinator=127.0.0.1:9 --processes=2 --process=0"
    return {
        "compile_cache": Case(("--compile_cache=elsewhere",)),
        "distributed": Case(("--distributed=on",), ("--distributed=maybe",)),
        "coordinator": Case(
            ("--coordinator=127.0.0.1:8",), ("--coordinator=here", "--coordinator=127.0.0.1"), base=among
        ),
        "processes": Case(("--processes=3",), ("--processes=0", "--processes=two"), base=among),
        "process": Case(("--process=1",), ("--process=2", "--process=-1"), base=among),
        "lost_after": Case(("--lost_after=31",), ("--lost_after=0",), base=among),
        "start_within": Case(("--start_within=31",), ("--start_within=0",), base=among),
    }


LOGS = switch("quiet") | {"log": Case(("--log=jsonl",), ("--log=json",))}
SETTINGS = {
    "seeds": Case(("--seeds=0,7",), ("--seeds=0,x", "--seeds=0,0")),
    "set": Case(("--set=train.steps=12", "--set=axes.sigma=0.5,1"), ("--set=train.stepz=12", "--set=train.steps")),
}
PLACED = {
    "members_per_device": Case(("--members_per_device=2",), ("--members_per_device=0",)),
    "remat": Case(("--remat=blocks",), ("--remat=all",)),
    "keep": Case(("--keep=all", "--keep=last", "--keep=every:2", "--keep=analysis"), ("--keep=some", "--keep=every:0")),
}
TRAIN, PLAN, ANALYZE = "--experiment=p1_fig4 --preset=tiny --workdir=w", "--experiment=p1_fig4", "--workdir={run}"
SAMPLERS = "--suite=samplers --workdir=w"
SUITES = ("scaling", "parts", "sample", "run", "analysis", "accelerator")

PREPARING = ("prepare(", "find_devices(", "load(", "cases(")
"""Calls that a program may make before it refuses a flag: none of them works for long, or writes."""

PROGRAMS = {
    "train": (
        TRAIN,
        startup(TRAIN)
        | LOGS
        | SETTINGS
        | PLACED
        | switch("extend", "--experiment=quickstart --preset=tiny --workdir={run} --seeds=7")
        | switch("allow_changed_experiment")
        | {
            "experiment": Case(("--experiment=quickstart", "--experiment={own}"), ("--experiment=p1_fig44",)),
            "preset": Case(("--preset=laptop", "--preset=paper"), ("--preset=huge",)),
            "workdir": Case(("--workdir=v",)),
            "mapping": Case(("--mapping=loop", "--mapping=sharded"), ("--mapping=looped",)),
            "steps_per_call": Case(("--steps_per_call=7",), ("--steps_per_call=0", "--steps_per_call=few")),
            "data_parallel": Case(("--data_parallel=2",), ("--data_parallel=0",), f"{TRAIN} --mapping=sharded"),
            "waves": Case(("--waves=2",), ("--waves=few",)),
            "analyze": Case(("--noanalyze",), ("--analyze=maybe",)),
        },
    ),
    "quickstart": ("", startup("") | LOGS | {"workdir": Case(("--workdir=v",))}),
    "analyze": (
        ANALYZE,
        startup(ANALYZE)
        | LOGS
        | switch("repair")
        | switch("allow_changed_experiment", "--workdir={old} --experiment={own}")
        | {
            "workdir": Case(("--workdir={run2}",), ("--workdir=nowhere",)),
            "experiment": Case(("--experiment={own}",), ("--experiment=p1_fig44",), "--workdir={mine}"),
            "models": Case(
                ("--models={run2}",),
                ("--models=nowhere", "--models={run2} --experiment=p1_fig44"),
                "--workdir=v --experiment=interventions --models={run}",
            ),
        },
    ),
    "merge": (
        "--workdirs={run} --out=o",
        switch("copy")
        | switch("allow_changed_experiment", "--workdirs={old} --out=o --experiment={own}")
        | {
            "workdirs": Case(("--workdirs={run2}",), ("--workdirs=nowhere",), "--out=o"),
            "out": Case(("--out=p",)),
            "experiment": Case(("--experiment={own}",), ("--experiment=p1_fig44",), "--workdirs={mine} --out=o"),
        },
    ),
    "report": (
        "--workdir={run}/config.json",
        switch("pdf")
        | switch("allow_changed_experiment", "--workdir={old}/config.json --experiment={own}")
        | {
            "workdir": Case(("--workdir={run2}/config.json",)),
            "experiment": Case(("--experiment={own}",), ("--experiment=p1_fig44",), "--workdir={mine}/config.json"),
            "out": Case(("--out=r2",), ("--workdir={run2}/config.json --out=r2",)),
            "csv": Case(("--csv=r.csv",), ("--workdir={run2}/config.json --csv=r.csv",)),
            "summary": Case(("--summary=r.zip",), ("--workdir={run2}/config.json --summary=r.zip",)),
            "gallery": Case(("--gallery=r.html",)),
            "forest": Case(("--forest=f.png",), ("--workdir={run2}/config.json --forest=f.jpg",)),
            "pages": Case(("--pages=page.md",)),
        },
    ),
    "list": (
        "--experiment=examples",
        {
            name: Case((f"--{name}",), (f"--{name} --{other}",))
            for name, other in (
                ("json", "markdown"),
                ("markdown", "figures"),
                ("figures", "claims"),
                ("claims", "power"),
                ("power", "json"),
            )
        }
        | {"experiment": Case(("--experiment=latents",), ("--experiment=example",))},
    ),
    "verify": ("--workdir=w", {"workdir": Case(("--workdir=v",))}),
    "watch": (
        "--workdir=w",
        switch("once")
        | {
            "workdir": Case(("--workdir=v",), ("v",)),
            "every": Case(("--every=0.5",), ("--every=0", "--every=often")),
        },
    ),
    "plan": (
        PLAN,
        startup(PLAN)
        | SETTINGS
        | PLACED
        | switch("json")
        | {
            "experiment": Case(("--experiment=p1_fig5",), ("--experiment=p1_fig44",)),
            "preset": Case(("--preset=tiny", "--preset=laptop"), ("--preset=huge",)),
            "topology": Case(("--topology=v5e:4x4", "--topology=host")),
            "data_parallel": Case(("--data_parallel=2",), ("--data_parallel=0",)),
        },
    ),
    "reproduce": (
        "--workdir=w",
        startup("--workdir=w")
        | LOGS
        | {
            "workdir": Case(("--workdir=v",)),
            "preset": Case(("--preset=tiny", "--preset=paper"), ("--preset=huge",)),
            "experiment": Case(("--experiment=p1_fig4,{own}",), ("--experiment=p1_fig44",)),
            "experiments": Case(("--experiments=p1_fig4",)),
        },
    ),
    "bench": (
        "--suite=train",
        switch("torch")
        | switch("torch_compile")
        | switch("json")
        | switch("trial", "--suite=accelerator")
        | {
            "suite": Case(tuple(f"--suite={name}" for name in SUITES), ("--suite=trains", "--suite=samplers")),
            "only": Case(("--only=one",), ("--only=none",)),
            "repeats": Case(("--repeats=2",), ("--repeats=0",)),
            "steps": Case(("--steps=2",), ("--steps=0",)),
            "cores": Case(("--cores=1",), ("--cores=0", "--cores=100000")),
            "experiment": Case(("--experiment=p1_fig5",), ("--experiment=p1_fig44",)),
            "presets": Case(("--presets=tiny",), ("--presets=huge",)),
            "set": Case(("--set=train.batch_size=8",), ("--set=train.stepz=8",)),
            "workdir": Case(("--workdir=v",), base=SAMPLERS),
            "ddim": Case(("--ddim=3",), ("--ddim=0",), SAMPLERS),
            "members": Case(("--members=3",), ("--members=0",), SAMPLERS),
        },
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders with the configuration of a run: two of the quickstart, one of a user's file, one of another version."""
    folder = tmp_path_factory.mktemp("flags")
    own = write_own(folder)
    made = {name: Run.of(experiments.find("quickstart"), "tiny") for name in ("run", "run2")}
    for name, code in (("old", OWN + "# earlier\n"), ("mine", OWN)):
        made[name] = Run.of(experiments.resolve(str(write_own(folder, code))), "tiny")
    for name, run in made.items():
        with results.open_workdir(folder / name) as opened:
            opened.write_config(run.record | {"members_at_once": 1})
    return {"own": str(own)} | {name: str(folder / name) for name in made}


def walk(program: str, lines: list[str], places: dict[str, str]) -> list[dict]:
    """Return how each command line of a program ends; see tests/support/flag_walk.py."""
    given = json.dumps([(program, line.format(**places).split()) for line in lines])
    walker = [sys.executable, "-W", "error", "-m", "tests.support.flag_walk"]
    own = environment(JAX_PLATFORMS="cpu")
    done = subprocess.run(walker, input=given, cwd=REPOSITORY, env=own, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_program_is_walked():
    found = {path.stem for path in (REPOSITORY / "launch").glob("[a-z]*.py")} - {"program"}
    assert found == set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_flags_do_what_help_says(program, places):
    own_base, cases = PROGRAMS[program]
    lines = {"--help": None, own_base: None}
    for case in cases.values():
        base = own_base if case.base is None else case.base
        lines |= dict.fromkeys([base, *(f"{base} {more}" for more in (*case.changed, *case.bad))])
    ends = dict(zip(lines, walk(program, list(lines), places), strict=True))

    flags, text = ends["--help"]["flags"], ends["--help"]["out"]
    assert (ends["--help"]["status"], ends["--help"]["err"]) == (0, "")
    assert max(map(len, text.splitlines())) <= 120
    listed = dict(re.findall(r"^  --(\w+)\S*\n((?: {8}.*\n?)+)", text[text.index("Flags:") :], re.MULTILINE))
    assert set(listed) == set(flags) == set(cases)
    for name, flag in flags.items():
        default = ",".join(map(str, flag["default"])) if isinstance(flag["default"], list) else flag["default"]
        words = " ".join(listed[name].split())
        assert default in (None, "", False) or words.endswith(f"Default: {default}."), (name, words)

    for name, case in cases.items():
        base = own_base if case.base is None else case.base
        before = outcome(ends[base])
        after = [outcome(ends[f"{base} {more}"]) for more in case.changed]
        for more, end in zip(case.changed, after, strict=True):
            assert end[0] == 0, (more, ends[f"{base} {more}"])
            assert end != before, f"{more} changes nothing"
        assert len({str(end) for end in after}) == len(after), name
        for more in case.bad:
            end = ends[f"{base} {more}"]
            assert end["status"] == 2, (more, end)
            assert re.fullmatch(r"error: [^\n]+\n", end["err"]), (more, end)
            work = [call for call in end["calls"] if not call.startswith(PREPARING)]
            assert not work, (more, work)


def outcome(end: dict) -> tuple:
    """Return what a command line led to."""
    return end["status"], end["out"], end["calls"]
