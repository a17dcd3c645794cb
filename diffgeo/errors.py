"""Errors that a user can fix, the stop that a user asked for, and the wording of both."""

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """A request that cannot be carried out, and how to fix it.

    The message is one sentence that quotes the offending value and states the fix. Programs in
    `launch` print it on stderr without a traceback and exit with status 2.

    >>> Factor("x", 5, 2)
    Traceback (most recent call last):
    diffgeo.errors.UserError: factor 'x' has low=5, high=2: low must be less
    """


class DamagedError(Exception):
    """Stored data are not what was written, or none that this library writes.

    The message says where; whoever knows the folder makes a `UserError` of it.
    """


class Interrupted(Exception):
    """A stop requested by a signal, raised once the state is saved."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum


def require(condition: bool, message: str) -> None:
    """Raise `UserError(message)` unless the condition holds."""
    if not condition:
        raise UserError(message)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean 'NEAREST'?", or ": choose one of ..." when no known name is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": choose one of {', '.join(known)}"


def require_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raise a `UserError` that names the nearest or all choices unless `value` is one of them."""
    choices = list(choices)
    if value not in choices:  # a suggestion takes longer than all other checks of settings
        raise UserError(f"unknown {what} {value!r}{suggestion(value, choices)}")


def one_line(error: BaseException | str, length: int = 160) -> str:
    """Return the beginning of an error's message on one line; the error's type if the message is empty."""
    return re.sub(r"\s+", " ", str(error)).strip()[:length] or type(error).__name__
