"""Extension of griffe, which reads docstrings for the reference: doctests that end a docstring are its examples."""

import textwrap
from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Put a heading over doctests, which Markdown would take for a quotation."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """See `griffe.Extension`."""
        text, start, doctests = obj.docstring.value.partition("\n>>> ") if obj.docstring else ("", "", "")
        if start:
            obj.docstring.value = f"{text}\n\nExamples:\n{textwrap.indent('>>> ' + doctests, '  ')}"
