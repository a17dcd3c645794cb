"""Experiments of a user's own, declared in a file or a module that the user names.

Such code is run, so its name comes from the user each time, by a flag or an argument: never from a work folder, whose
content may be a stranger's.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from diffgeo.errors import UserError, one_line, require
from diffgeo.experiment import Experiment, SourceFile
from diffgeo.host.disk import local_path

CONVENTION = "EXPERIMENT"
"""Name of a module's experiment, if it has several."""

FIXES = "path/to/file.py or package.module:NAME"


def is_own(name: str) -> bool:
    """Return whether a name is that of a file or module rather than of a built-in experiment."""
    return name.endswith(".py") or ":" in name or "/" in name


def load(name: str) -> Experiment:
    """Run a file or module and return the experiment that it declares, with its `source`.

    Args:
      name: `path/to/file.py`, whose `EXPERIMENT` or only `Experiment` is taken; or `package.module:NAME`.

    Raises:
      UserError: if there is no such file, module or experiment, or it fails when it is run; quotes the line.
    """
    if name.endswith(".py") or ":" not in name:
        path, wanted = local_path(name), None
        require(path.is_file(), f"no file {name!r} to take an experiment from: give {FIXES}")
        content = path.read_bytes()
        module = _run(path, content, name)
    else:
        dotted, _, wanted = name.partition(":")
        module = _import(dotted, name)
        path = Path(module.__file__ or dotted)
        content = path.read_bytes() if path.is_file() else b""
    source = SourceFile(path.name, hashlib.sha256(content).hexdigest())
    return dataclasses.replace(_experiment(module, name, wanted), source=source)


def _run(path: Path, content: bytes, name: str) -> ModuleType:
    """Run the bytes that the digest is of, as a module of a name that no other has."""
    own = f"diffgeo_own_{path.stem}_{hashlib.sha256(content).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(own, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module  # dataclasses and pickle look it up
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[own]
        raise _failed(error, str(path), name) from error
    return module


def _import(dotted: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name is not None and (dotted == error.name or dotted.startswith(f"{error.name}.")):
            raise UserError(f"no module {dotted!r} to take an experiment from: give {FIXES}") from error
        raise _failed(error, dotted, name) from error
    except (Exception, SystemExit) as error:
        raise _failed(error, dotted, name) from error


def _failed(error: BaseException, file: str, name: str) -> UserError:
    """Return the error of a file that cannot be run, with the last line of it that was reached."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return UserError(f"{name!r} cannot be read, line {error.lineno}: {error.msg}")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f", line {lines[-1]}" if lines else ""
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return UserError(f"{name!r} cannot be run{where}: {kind}{one_line(error)}")


def _experiment(module: ModuleType, name: str, wanted: str | None) -> Experiment:
    """Return the experiment of that name, of `CONVENTION`, or the module's only one."""
    found = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    names = ", ".join(found)
    if wanted is not None:
        require(wanted in found, f"{name!r} names no Experiment: choose one of {names or 'none in that module'}")
        return found[wanted]
    require(bool(found), f"{name!r} declares no Experiment: assign one to {CONVENTION}")
    require(
        CONVENTION in found or len(found) == 1,
        f"{name!r} declares several Experiments ({names}): call one of them {CONVENTION}",
    )
    return found.get(CONVENTION) or next(iter(found.values()))
