"""Digests of the rules that judge claims: whether a verdict is by the rule that its run started under.

A rule that is written with a run's results at hand decides nothing by them. A run therefore stores the digest of each
of its claims when it starts, and a verdict by another rule says that it is younger than its run.
"""

import ast
import functools
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from diffgeo.errors import UserError

if TYPE_CHECKING:
    from diffgeo.claims.claim import Claim

ATTRIBUTE = "rules"
"""Attribute of results: claim -> digest, as JSON."""

PACKAGES = ("diffgeo.claims", "diffgeo.representation", "diffgeo.readout")
"""Packages whose functions, classes and numbers are part of a rule that uses them."""

APART = ("diffgeo.claims.rules.", "diffgeo.claims.claim.Claim", "diffgeo.claims.claim.Verdict")
"""Beginnings of names that are not: they hold a rule's words, or this digest."""

SAME = {
    "c5ae0876229bce74": "a3650f5560baa39d",
    "e4d493794f25e569": "355ddee913c0970e",
    "7341ba78185b7db5": "139aaead2ae8c83f",
    "32131e89e787f585": "99a21b85f5831e43",
    "c229ac1ffef07043": "96a8c14f293d22a5",
    "0dc242e80d7fbac6": "dc5ae8652d179d6f",
    "0f6db17603253e73": "ac6268ecf1d48f8b",
    "f23831497e7427c4": "fda71fbdd8fb631b",
    "f17dde3097e27c7b": "e3a57a345e3ee293",
    "f7a6b2594676171d": "ff224c647e1d606c",
}
"""Digests that older runs stored -> those of the same text by this module.

The first five are of (a) to (c) and runs of commits 011c099 to fe5c1ea, when this module was part of every rule: at
commit fe5c1ea each of these claims has the former. The others are of claims whose helpers in another module of their
package were no part of them up to commit 1ca579f, where each has the former."""


def digest(statement: str, test: Callable[..., Any], *others: Callable[..., Any]) -> str:
    """Return a digest of a claim's statement and of all source text that its test consists of, without docstrings.

    Args:
      statement: what "holds" says.
      test: the claim's, a function or a `functools.partial` of one.
      *others: functions that make the verdict of what the test returns.

    Returns:
      16 hexadecimal digits: of the text of these functions and of what they call in `PACKAGES` and in their own
      modules and packages, and of the numbers and words that they refer to by name. Of a function whose text Python
      does not know, as of one typed at a prompt, its name.
    """
    arguments = []
    while isinstance(test, functools.partial):
        arguments.append(repr((test.args, sorted(test.keywords.items()))))
        test = test.func
    parts = sorted({*_parts(test), *(part for other in others for part in _parts(other))})
    return hashlib.sha256(json.dumps([statement, arguments, parts]).encode()).hexdigest()[:16]


def stored(claims: Iterable["Claim"]) -> dict[str, str]:
    """Return the attribute that a new run's results have for its claims."""
    return {ATTRIBUTE: json.dumps({claim.name: claim.rule for claim in claims})}


def shared(runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the attribute of runs that are joined: the rules that all of them started under.

    Args:
      runs: attributes of each one's results.
    """
    first, *others = (_known(attributes) for attributes in runs)
    return {
        ATTRIBUTE: json.dumps({name: rule for name, rule in first.items() if all(o.get(name) == rule for o in others)})
    }


def is_younger(claim: "Claim", attributes: Mapping[str, Any]) -> bool:
    """Return whether a claim's rule is another than the one that a run started under, or the run stored none.

    Args:
      claim: to be judged.
      attributes: of a run's results; those of results that are no run's have no "experiment", and nothing is younger.

    Raises:
      UserError: if the attribute is none of ours.
    """
    return "experiment" in attributes and _known(attributes).get(claim.name) != claim.rule


def _known(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return claim -> digest, as stored with results."""
    try:
        known = json.loads(attributes.get(ATTRIBUTE, "{}"))
    except (TypeError, ValueError):
        known = None
    if not isinstance(known, dict):
        raise UserError(f"the attribute {ATTRIBUTE!r} of these results is not JSON of claims and digests")
    return {name: SAME.get(str(rule), str(rule)) for name, rule in known.items()}


def _parts(test: Callable[..., Any]) -> Iterator[str]:
    """Yield the text of a test and of everything that it refers to, each behind its name."""
    home = getattr(test, "__module__", None)
    package = (f"{home.rpartition('.')[0]}.",) if home and "." in home else ()
    waiting, seen = [test], {test}
    while waiting:
        found = waiting.pop()
        text, named = _read(found)
        yield f"{_name(found)}: {text}"
        for name, value in named:
            ours = getattr(value, "__module__", None)
            if isinstance(value, bool | int | float | str | tuple):
                yield f"{name} = {value!r}"
            elif isinstance(value, FunctionType | type) and (ours == home or str(ours).startswith(PACKAGES + package)):
                value = inspect.unwrap(value)
                if value not in seen and not _name(value).startswith(APART):
                    seen.add(value)
                    waiting.append(value)


@functools.cache
def _read(found: Callable[..., Any] | type) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Return the source of a function or class, and what it refers to."""
    try:
        source = textwrap.dedent(inspect.getsource(found))
    except (OSError, TypeError):  # typed at a prompt; built in, or an object that can be called
        return "", ()
    try:
        tree = ast.parse(source)
    except SyntaxError:  # of a lambda it is the lines around it
        return source, ()
    return _undocumented(source, tree), tuple(_named(tree, _globals(found)))


def _undocumented(source: str, tree: ast.AST) -> str:
    """Return the source of a function or class without its docstrings."""
    lines = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno
            lines[first - 1 : last] = [""] * len(lines[first - 1 : last])
    return "\n".join(line for line in lines if line.strip())


def _name(found: Callable[..., Any]) -> str:
    owner = found if hasattr(found, "__qualname__") else type(found)
    return f"{owner.__module__}.{owner.__qualname__}"


def _globals(found: Callable[..., Any] | type) -> Mapping[str, Any]:
    return found.__globals__ if isinstance(found, FunctionType) else vars(inspect.getmodule(found))


def _named(tree: ast.AST, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what source refers to by a global's name, or as an attribute of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            yield node.id, names[node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            if isinstance(module, ModuleType) and hasattr(module, node.attr):
                yield f"{node.value.id}.{node.attr}", getattr(module, node.attr)
