"""Tables of verdicts in Markdown pages, written from summaries so that no number on a page is typed.

A page has blocks between two comments, and everything between them is replaced:

    <!-- verdicts gallery/p1_fig4.zip gallery/p1_fig4_confirming.zip -->
    <!-- end -->

* `verdicts FILE [FILE]` is a table of the claims of a run, a row a number, and beside it those of a second run, which
  confirms; under it where each run comes from.
* `family FILE ...` is a table of the claims that are corrected together, by Holm's method, over these runs.
* `runs FILE ...` is a table of where runs come from.

Paths are relative to the page; `*` stands for all of a name, as in `runs gallery/*.zip`.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from diffgeo import claims
from diffgeo.claims import family
from diffgeo.errors import UserError, require
from diffgeo.experiment import Experiment
from diffgeo.host.disk import local_path, refusals
from diffgeo.host.files import atomic_write
from diffgeo.report import summary
from diffgeo.results import settings_of
from diffgeo.settings import Settings

BLOCK = re.compile(r"(<!-- (verdicts|family|runs) ([^\n]*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
OPENED = re.compile(r"<!-- (?:verdicts|family|runs) ")

LOGGED = ("steps", "batch_size", "log_every")
"""Fields of training that are said before the others, or do not matter."""

Find = Callable[[Mapping[str, object], str], Experiment]
"""From the attributes of results and a name for messages to the experiment that they are of."""


def write_page(path: str | Path, find: Find) -> Path:
    """Write the blocks of a Markdown file anew; all else stays as it is.

    Args:
      path: of the file, NAME.md.
      find: `experiments.of_run`.

    Returns:
      The path.

    Raises:
      UserError: if the file cannot be read, a block is not closed, or a summary is missing.
    """
    path = local_path(path)
    require(path.suffix == ".md", f"{str(path)!r} is no Markdown file: its name must end in .md")
    with refusals(path):
        require(path.exists(), f"no page {str(path)!r}")
        text = path.read_text(encoding="utf-8")
    return atomic_write(path, rewritten(text, path.parent, find))


def rewritten(text: str, folder: Path, find: Find) -> str:
    """Return a page with every block written anew; see `write_page`.

    Args:
      text: of the page.
      folder: that paths in it are relative to.
      find: `experiments.of_run`.
    """
    blocks = BLOCK.findall(text)
    if len(blocks) != len(OPENED.findall(text)):
        raise UserError("a block of verdicts, family or runs has no line '<!-- end -->': add it")
    return BLOCK.sub(lambda found: f"{found[1]}{_block(found[2], found[3].split(), folder, find)}\n{found[5]}", text)


class _Judged:
    """A summary with its verdicts."""

    def __init__(self, path: Path, find: Find):
        self.name = path.stem
        self.results: xr.Dataset = summary.read(path)
        self.declared = find(self.results.attrs, str(path))
        self.verdicts = [claims.judge(claim, self.results) for claim in self.declared.claims]


def _block(kind: str, patterns: Sequence[str], folder: Path, find: Find) -> str:
    paths: list[Path] = []
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        require(bool(found), f"no summary {pattern!r} beside the page")
        paths += [path for path in found if path not in paths]
    judged = [_Judged(path, find) for path in paths]
    return {"verdicts": _verdicts, "family": _family, "runs": _runs}[kind](judged)


def _verdicts(judged: Sequence[_Judged]) -> str:
    first = judged[0]
    others = [each.name for each in judged if each.declared.name != first.declared.name]
    if others:
        raise UserError(f"{first.name} and {others[0]} are of two experiments: give each a block of its own")
    rows = [_row("claim", "number", "wanted", *(each.name for each in judged)), _rule(3 + len(judged))]
    for at, verdict in enumerate(first.verdicts):
        words = [each.verdicts[at] for each in judged]
        said = [f"**{one.verdict}**" + (f", p = {one.p:.2g}" if one.verdict == claims.HOLDS else "") for one in words]
        rows.append(_row(f"({verdict.claim.name})", verdict.claim.statement, "", *said))
        if any(one.younger for one in words):
            rows.append(_row("", "rule", "", *("younger than the run" * one.younger for one in words)))
        for number, comparison in enumerate(verdict.comparisons):
            values = [_value(one.comparisons[number : number + 1]) for one in words]
            role = "" if comparison.role == claims.PRIMARY else f" ({comparison.role})"
            rows.append(_row("", f"{comparison.description}{role}", comparison.wanted, *values))
        if any(one.reason for one in words):
            rows.append(_row("", "why", "", *(one.reason for one in words)))
    return "\n".join(rows) + "\n\n" + "\n".join(f"* {_origin(each)}" for each in judged) + "\n"


def _value(comparison: Sequence[claims.Comparison]) -> str:
    return claims.numbers(comparison[0]) if comparison else ""


def _family(judged: Sequence[_Judged]) -> str:
    verdicts = {(each.declared.name, one.claim.name): one for each in judged for one in each.verdicts}
    corrected = family.corrected(verdicts)
    rows = [_row("claim", "experiment", "statement", "verdict", "p", "p among all, Holm"), _rule(6)]
    for letter, experiment in family.FAMILY.items():
        verdict = verdicts.get((experiment, letter))
        if verdict is None:
            rows.append(_row(f"({letter})", f"`{experiment}`", "", "not run", "", ""))
            continue
        holds = verdict.verdict == claims.HOLDS
        p_values = (f"{verdict.p:.2g}", f"{corrected[letter]:.2g}") if holds else ("", "")
        rows.append(
            _row(f"({letter})", f"`{experiment}`", verdict.claim.statement, f"**{verdict.verdict}**", *p_values)
        )
    return "\n".join(rows)


def _runs(judged: Sequence[_Judged]) -> str:
    rows = [_row("summary", "preset", "models", "commit", "hardware", "versions", "command"), _rule(7)]
    for each in judged:
        about = {name: str(each.results.attrs.get(name, "not recorded")) for name in ("commit", "hardware", "versions")}
        rows.append(
            _row(
                f"`{each.name}`",
                str(each.results.attrs.get("preset", "")),
                _models(each.results),
                *about.values(),
                f"`{each.results.attrs.get('command', 'not recorded')}`",
            )
        )
    return "\n".join(rows)


def _origin(judged: _Judged) -> str:
    """Return what was run, where and at which commit, as a sentence."""
    about = judged.results.attrs
    return (
        f"`{judged.name}`: {_models(judged.results)}; `{about.get('command', 'command not recorded')}` at commit "
        f"{about.get('commit', 'not recorded')}, {about.get('hardware', 'hardware not recorded')}, "
        f"{about.get('versions', 'versions not recorded')}."
    )


def _models(results: xr.Dataset) -> str:
    """Return what was trained: the grid's axes, the steps, and what of data and training is not as in the papers."""
    if "step" not in results.dims:
        return "nothing trained"
    settings, papers = settings_of(results), Settings()
    axes = [f"{name} {', '.join(map(str, results[name].values))}" for name in settings.axes if name in results.dims]
    steps = f"{settings.train.steps:,} steps of {settings.train.batch_size}"
    own = [_changed(settings.data, papers.data, settings.axes), _changed(settings.train, papers.train, LOGGED)]
    return "; ".join([*axes, steps, *filter(None, own)])


def _changed(section: Any, other: Any, without: Collection[str]) -> str:
    """Return the fields of a section that differ from another's, such as "size 16, increment 0.25"."""
    names = [field.name for field in dataclasses.fields(section) if field.name not in without]
    differing = [name for name in names if getattr(section, name) != getattr(other, name)]
    return ", ".join(f"{name} {getattr(section, name)}" for name in differing)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rule(columns: int) -> str:
    return f"|{'---|' * columns}"
