"""The one kind of error that a user can mend, and the stop that a user asked for."""


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one sentence that quotes the offending value and says the mend. Programs in
    `launch` print it on stderr without a traceback and exit with status 2.
    """


class Interrupted(Exception):
    """The run was asked to stop by a signal; its state is saved."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.signum = signum
