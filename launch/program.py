"""Shared by all programs: one-line errors with exit status 2, start-up of JAX and its processes, common flags."""

import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from absl import app, flags

from diffgeo.errors import Interrupted, UserError, require
from diffgeo.host import disk, distributed, runtime
from diffgeo.logs import Logs

BAD_INPUT = 2  # exit status
HELP = frozenset(("--help", "-help", "-h", "-?", "--helpshort"))

OWN_EXPERIMENT = "path/to/file.py, with one Experiment or EXPERIMENT, or package.module:NAME."
"""Ending of the help of --experiment."""
PROGRAM = re.compile(r"(?:python -m )?\blaunch\.([a-z]+)")
_as_command = False

ALLOW_CHANGED = flags.DEFINE_boolean(
    "allow_changed_experiment", False, "Go on with a file of your own that has changed since it made the run."
)
CACHE = flags.DEFINE_string(
    "compile_cache", None, "Folder of compiled programs, shared by runs. Default: diffgeo in the user's cache folder."
)

DISTRIBUTED = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "on", "off"],
    "Whether this is one of several processes of a run. auto: with --coordinator, or if SLURM's, GKE's or Cloud TPU's "
    "environment variables tell of several.",
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where no cluster tells it.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are, with --coordinator.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0, with --coordinator.")
LOST_AFTER = flags.DEFINE_integer("lost_after", 30, "Seconds of silence after which another process counts as dead.", 1)
START_WITHIN = flags.DEFINE_integer("start_within", 300, "Seconds that the processes have to find each other.", 1)
OF_PROCESSES = (DISTRIBUTED, COORDINATOR, PROCESSES, PROCESS, LOST_AFTER, START_WITHIN)
STARTUP = (CACHE, *OF_PROCESSES)
"""Flags that `start_jax` reads."""
SHARED = (ALLOW_CHANGED, *STARTUP)


def define_paths(name: str, text: str, **how: Any) -> Callable[[], list[str]]:
    """Define a flag of several files, folders or names; return a function that returns them.

    They are separated by commas, or the flag is given for each; what exists by its whole name, commas and all, is one.
    """
    flag = flags.DEFINE_multi_string(name, None, f"{text} Several: A,B, or the flag for each.", **how)

    def paths() -> list[str]:
        whole = [os.path.lexists(os.path.expanduser(given)) for given in flag.value or []]
        split = [[given] if one else given.split(",") for one, given in zip(whole, flag.value or [], strict=True)]
        named = [path.strip() for given in split for path in given if path.strip()]
        require(bool(named) or not how.get("required"), f"--{name} names nothing: give {text[0].lower()}{text[1:-1]}")
        return named

    return paths


def define_logs() -> Callable[[], Logs]:
    """Define the flags of a program that shows its progress; return a function that returns what they ask for."""
    quiet = flags.DEFINE_boolean("quiet", False, "Show no progress; messages are still given.")
    kinds = flags.DEFINE_list(
        "log",
        [],
        "Files to log to in the run's folder: jsonl (log.jsonl, a JSON object a line), tensorboard (tensorboard/), or "
        "jsonl,tensorboard.",
    )
    return lambda: Logs(quiet.value, tuple(kinds.value))


def by_one_command() -> None:
    """Let messages name the programs as the command `diffgeo` does."""
    global _as_command
    _as_command = True


def worded(text: str) -> str:
    """Return a text in which programs are named as the user has called this one."""
    return PROGRAM.sub(r"diffgeo \1", text) if _as_command else text


def run(main: Callable[..., None], shared: Iterable[flags.FlagHolder] = (), positional: int = 0) -> None:
    """Run a program's main function under absl's flags, with at most `positional` arguments that are no flags.

    Of the flags in `SHARED` the program has those that it reads, `shared`.

    A `UserError`, what a disk refuses, or an unusable flag is one sentence on stderr and exit status 2; a program that
    is interrupted exits with 128 plus its signal's number, as a shell expects, and so does, without a word, one whose
    output nobody reads any more. One of several processes that fails does not wait for the others.
    """

    def guarded(arguments):
        if len(arguments) > 1 + positional:
            fail(f"unexpected argument {arguments[1 + positional]!r}: flags are written --name=value")
        # read when JAX is imported: its runtime reports a lost process by a stack trace, we by a sentence; a 0, set for
        # debugging, is left; 1 is what JAX itself sets, and may be inherited
        ours = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1" and DISTRIBUTED.name in flags.FLAGS
        if ours and distributed.is_one_of_several(DISTRIBUTED.value, COORDINATOR.value, os.environ):
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "4"
        logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it reports listing the system's fonts
        try:
            main(*arguments[1:])
            sys.stdout.flush()
        except UserError as error:
            fail(str(error), _end())
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            sys.exit(128 + stop.signum)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the exit
            sys.exit(128 + signal.SIGPIPE)
        except Exception as error:
            if (found := disk.refused(error)) is not None:
                fail(str(disk.refusal(None, found)), _end())
            if not distributed.is_multiprocess():
                raise
            if distributed.lost(error):
                print(f"error: {distributed.LOST}", file=sys.stderr)
            else:
                traceback.print_exc()
            distributed.end_at_once(distributed.FAILED)

    for name in {holder.name for holder in SHARED} - {holder.name for holder in shared}:
        delattr(flags.FLAGS, name)
    app.run(guarded, flags_parser=_parse)


def _end() -> Callable[[int], Any]:
    return distributed.end_at_once if distributed.is_multiprocess() else sys.exit


def fail(message: str, end: Callable[[int], None] = sys.exit) -> None:
    """Print one sentence on stderr and exit with status 2, by `end`."""
    print(f"error: {worded(message)}", file=sys.stderr)
    end(BAD_INPUT)


def _parse(arguments):
    if HELP.intersection(arguments[1:]):
        print(worded(_help()))
        sys.exit(0)
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        return fail(" ".join(str(error).split()))


def _help() -> str:
    """Return what the program says of itself, its own flags, and those that programs share."""
    main = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    here = flags.FLAGS.flags_by_module_dict()[__name__]  # some of them made by `define_paths`
    names = [holder.name for holder in OF_PROCESSES]
    processes = [flag for flag in here if flag.name in names]
    shared = [flag for flag in here if flag.name in (ALLOW_CHANGED.name, CACHE.name)]
    own = [flag for flag in here if flag not in (*shared, *processes)]
    groups = {
        "Flags": [*own, *(flag for flag in main if flag not in here), *shared],
        "One of several processes of a run": processes,
    }
    listed = ["\n".join([f"{title}:", *map(_described, group)]) for title, group in groups.items() if group]
    return "\n\n".join([(sys.modules["__main__"].__doc__ or "").strip(), *listed])


def _described(flag: flags.Flag) -> str:
    """Return a flag's line of help: its name, what it takes, what it is for, its default."""
    choices = "|".join(getattr(flag.parser, "enum_values", ()))
    takes = choices or {"bool": "", "int": "NUMBER", "float": "NUMBER"}.get(flag.flag_type(), "TEXT")
    text = str(flag.help).removeprefix(f"<{choices}>: ").split(";\n    repeat this option")[0]
    default = ",".join(map(str, flag.default)) if isinstance(flag.default, list) else flag.default
    if isinstance(default, str | float | int) and default not in ("", False):  # others are said in words
        text += f" Default: {default}."
    return f"  --{flag.name}{takes and '='}{takes}\n" + flags.text_wrap(text, length=100, indent=" " * 8)


def start_jax() -> None:
    """Prepare the runtime and join the other processes; before any use of a device."""
    runtime.prepare(CACHE.value)
    if distributed.is_one_of_several(DISTRIBUTED.value, COORDINATOR.value, os.environ):
        distributed.start(COORDINATOR.value, PROCESSES.value, PROCESS.value, LOST_AFTER.value, START_WITHIN.value)
    runtime.find_devices()
