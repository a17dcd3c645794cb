"""The one kind of error that a user can mend."""


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one sentence that quotes the offending value and says the mend. Programs in
    `launch` print it on stderr without a traceback and exit with status 2.
    """
