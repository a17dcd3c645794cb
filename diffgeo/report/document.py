"""The page as a file: one HTML document with its style, scripts and data within, that loads nothing from anywhere.

Its policy (Content-Security-Policy) names the scripts by their digests: whatever else claims to be one is not run.
"""

import base64
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from diffgeo.report.sections import text

HOW_TO_TURN = (
    "The pictures below stand still: python -m pip install 'diffgeo[report]', then write this page again, for a "
    "representation that turns, a slider over checkpoints, and every model."
)


def can_turn() -> bool:
    """Return whether plotly, whose script draws what turns, is installed."""
    return importlib.util.find_spec("plotly") is not None


def document(title: str, body: str, explored: bool) -> str:
    """Return a whole page.

    Args:
      title: plain text.
      body: HTML.
      explored: whether the body holds data of `data_block` to explore: the scripts are added if they are installed.
    """
    scripts = [_plotly(), _own("explorer.js")] if explored and can_turn() else []
    allowed = " ".join(map(_source, scripts)) or "'none'"
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title><style>{_own('page.css')}</style></head><body><main>",
            body,
            "</main>",
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        ]
    )


def data_block(tree: Any) -> str:
    """Return data for the page's script as JSON in a block of its own, in which no tag can end or begin."""
    plain = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        plain = plain.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" class="explored">{plain}</script>'


def explorer(tree: Any, stills: Sequence[str]) -> str:
    """Return what explores a run: the data, and the pictures that are seen where nothing turns."""
    live = can_turn()
    said = "" if live else f"<p>{text(HOW_TO_TURN)}</p>"
    said += "<noscript><p>Scripts are off: the pictures below stand still.</p></noscript>" if live else ""
    data = data_block(tree) if live else ""
    return f'<div class="explorer">{said}<div class="stills">{"".join(stills)}</div>{data}</div>'


def _source(script: str) -> str:
    """Return a script as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingImports] (an extra)

    return get_plotlyjs()


def _own(name: str) -> str:
    return (resources.files("diffgeo.report") / name).read_text(encoding="utf-8")
