"""Parts of a report's page as HTML: verdicts, figures, the run that they are of. Whatever is inserted is escaped."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import diffgeo
from diffgeo import claims, results
from diffgeo.claims import catalog
from diffgeo.report.summary import DROPPED

PROVENANCE = (
    "experiment",
    "preset",
    "command",
    "commit",
    "hardware",
    "versions",
    "experiment_file",
    "experiment_sha256",
)
"""Attributes of results that the page shows, in this order, as far as they are there."""

CLASSES = {claims.HOLDS: "holds", claims.FAILS: "fails"}
"""Verdict -> class of the style sheet; all others are undecided."""


def text(value: object) -> str:
    """Return a value as HTML that shows it: nothing in it is taken for a tag or an attribute's end."""
    return html.escape(str(value))


def badge(verdict: claims.Verdict, word: str = "") -> str:
    """Return a verdict on its color, behind a word."""
    p = f" (p = {verdict.p:.2g})" if verdict.verdict == claims.HOLDS and not word else ""
    shown = f"{word} {verdict.verdict}".strip()
    return f'<b class="verdict {CLASSES.get(verdict.verdict, "undecided")}">{text(shown)}</b>{p}'


def claim(verdict: claims.Verdict) -> str:
    """Return a claim: the verdict, the paper's sentence, the baseline, and a table of what was compared."""
    heading = f"<h3>({text(verdict.claim.name)}) {text(verdict.claim.statement)}</h3>"
    try:
        parts = catalog.described(verdict.claim.test)
    except ValueError:  # a claim of the user's own need not quote a paper
        parts = {}
    quote = f"<blockquote>{text(parts['Quote'])}</blockquote>" if parts else ""
    described = [f"<p><b>{name}</b>: {text(parts[name])}</p>" for name in catalog.PARTS[1:] if name in parts]
    why = f"{verdict.reason}. " if verdict.reason else ""
    if verdict.verdict != claims.HOLDS:
        why = f"{why}Would decide it: {verdict.claim.would_decide}."
    if verdict.younger:
        why = f"{why} {claims.YOUNGER.capitalize()}."
    return (
        f"{heading}<p>{badge(verdict)} {text(why)}</p>{quote}<p class='faint'>{text(verdict.claim.source)}</p>"
        f"{_comparisons(verdict.comparisons)}"
        + (f"<details><summary>How it is tested</summary>{''.join(described)}</details>" if described else "")
    )


def _comparisons(comparisons: Iterable[claims.Comparison]) -> str:
    names = ("number", "value [interval]", "wanted", "role", "alone")
    rows = [(each.description, claims.numbers(each), each.wanted, each.role, each.verdict) for each in comparisons]
    return table(names, rows) if rows else ""


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose rows become blocks, each cell behind its column's name, on a narrow screen."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    cells = [
        [f'<td data-name="{text(n)}">{text(cell)}</td>' for n, cell in zip(names, row, strict=True)] for row in rows
    ]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    return f'<table class="stacked"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def picture(name: str, file: Path) -> str:
    """Return a saved PNG as a figure, whose alt text is the description that it holds."""
    from diffgeo.plots import style  # matplotlib takes a second to import

    shown = style.description(file) or name
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return (
        f'<figure><img loading="lazy" alt="{text(shown)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text(name)}</figcaption></figure>"
    )


def provenance(dataset: xr.Dataset) -> str:
    """Return where the results come from: what was run, on what, a digest of the results, and the settings."""
    facts = {name: dataset.attrs[name] for name in PROVENANCE if name in dataset.attrs}
    facts |= {"sha256 of the results": digest(dataset), "page by": f"diffgeo {diffgeo.__version__}"}
    rows = "".join(f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>' for name, value in facts.items())
    settings = text(json.dumps(results.settings_tree(dataset), indent=2))
    return f"<table>{rows}</table><details><summary>Settings</summary><pre tabindex='0'>{settings}</pre></details>"


def digest(dataset: xr.Dataset) -> str:
    """Return the sha256 of results, in hexadecimal: of every variable's name, dims and values, sorted by name.

    Independent of how they are stored; activations, which are not loaded for a report, are left out.
    """
    sha = hashlib.sha256()
    for name in sorted(str(name) for name in dataset.variables if name not in DROPPED):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        plain = values.astype(values.dtype.newbyteorder("<")) if values.dtype.kind in "iufb" else None
        sha.update(json.dumps([name, list(map(str, variable.dims)), list(values.shape)]).encode())
        sha.update(json.dumps(values.astype(str).tolist()).encode() if plain is None else plain.tobytes())
    return sha.hexdigest()


def badges(verdicts: Sequence[claims.Verdict]) -> str:
    """Return the verdicts of a run as badges in a line."""
    return " ".join(badge(verdict, f"({verdict.claim.name})") for verdict in verdicts)


def pictures(files: Mapping[str, Path], missing: Sequence[str]) -> str:
    """Return all figures of a run, and a line for each that was not drawn."""
    return "".join(picture(name, file) for name, file in files.items()) + "".join(
        f"<p>{text(line)}</p>" for line in missing
    )
