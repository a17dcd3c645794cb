"""The claims as a document: what each test quotes, measures, and is told from, read from its docstring."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from diffgeo.claims.claim import Claim

PARTS = ("Quote", "Statistic", "Baseline", "Refuted by")
"""Paragraphs that every test's docstring has."""


def described(test: Callable[..., Any]) -> dict[str, str]:
    """Return the paragraphs of a test's docstring, each on one line, by the names of `PARTS`.

    Raises:
      ValueError: if one is missing.
    """
    while isinstance(test, functools.partial):
        test = test.func
    text = inspect.getdoc(test) or ""
    names = "|".join(PARTS)
    found = dict(re.findall(rf"^({names}): (.*?)(?=^(?:{names}): |\Z)", text, re.MULTILINE | re.DOTALL))
    lacking = [name for name in PARTS if name not in found]
    if lacking:
        raise ValueError(f"the docstring of {test.__name__} has no {lacking[0]!r}")
    return {name: " ".join(found[name].split()) for name in PARTS}


def markdown(claims: Mapping[str, Iterable[Claim]]) -> str:
    """Return the claims of experiments as Markdown, by letter, each test described once.

    Args:
      claims: experiment -> its claims.
    """
    listed = sorted((claim.name, experiment, claim) for experiment, each in claims.items() for claim in each)
    lines: list[str] = []
    seen: set[str] = set()
    for name, experiment, claim in listed:
        lines += [f"### ({name}) `{experiment}`", "", f"{claim.statement} [{claim.source}]", ""]
        parts = described(claim.test)
        text = "\n".join(f"* **{part}**: {words}" for part, words in parts.items())
        lines += ["The test above, with other settings." if text in seen else text, ""]
        seen.add(text)
    return "\n".join(lines).rstrip()
