"""Folders of real runs, read as a stranger would: by file names and orbax, without this project's code."""

from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

WAVE = "checkpoints/wave_000"


def newest_state(folder: Path) -> int:
    """Return the step of the newest complete state of a run's first wave; -1 if there is none."""
    steps = [int(path.name) for path in (folder / WAVE / "state").glob("*") if path.name.isdigit()]
    return max(steps, default=-1)


def newest_arrays(folder: Path, kind: str, wave: str = WAVE) -> dict[str, np.ndarray]:
    """Return the arrays of the newest checkpoint, "state" or "params", as numpy on whatever devices they were saved."""
    steps = [int(path.name) for path in (folder / wave / kind).iterdir() if path.name.isdigit()]
    newest = (folder / wave / kind / str(max(steps)) / "default").absolute()
    with ocp.PyTreeCheckpointer() as reader:
        tree = reader.metadata(newest).item_metadata.tree
        plain = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        restored = reader.restore(newest, restore_args=plain)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(restored)}
