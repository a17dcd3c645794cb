"""Edits of a configuration by hand, and of stored metadata by a stranger."""

import copy
import hashlib
import json
import pickle
from collections.abc import Iterator
from typing import Any

from tests.support.damage import DAMAGES

EXECUTED: list[str] = []
"""What pickles of these edits do when they are loaded."""


class Pickled:
    """An object whose pickle notes that it was loaded."""

    def __reduce__(self):
        return EXECUTED.append, ("loaded",)


def of_config(sound: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and contents of edited configurations."""
    text = json.dumps(sound)
    values: dict[str, tuple[Any, ...]] = {
        "experiment": (5, "../../x", None, ["quickstart"], "quickstrt/..", ""),
        "preset": (1, "../tiny", None),
        "settings": (None, [], "tiny", 3),
        "members_at_once": (-1, 0, 10**6, "2", 1.5, True, None),
        "store_format": (0, 99, "3", None),
        "keep": (5, None, ["last"]),
        "settings.train": (None, [], {"steps": "6"}),
        "settings.train.steps": ("6", -1, 6.5, True, None, 10**30, [6]),
        "settings.train.learning_rate": ("x", float("inf"), float("nan"), -1.0, None),
        "settings.train.schedule": ("cosine", 1),
        "settings.data.size": (7, 0, "8", 10**9),
        "settings.data.sigma": (0, "1", float("nan"), 2.0),
        "settings.model.base_channels": (0, 4 * 10**11, "4"),
        "settings.diffusion.timesteps": (0, 10**12),
        "settings.evaluation.readout": ("eye", None),
        "settings.axes": (None, [], {}, {"seed": []}, {"seed": [0, 0]}, {"seeds": [0]}, {"seed": 0}, {"seed": ["a"]}),
        "waves": ([], [[[9, 9]]], "all", [1], {"a": 1}),
    }
    for path, changed in values.items():
        for value in changed:
            yield f"{path} = {value!r}"[:80], json.dumps(_with(sound, path, value))
    for path in ("experiment", "preset", "settings", "settings.axes"):
        yield f"no {path}", json.dumps(_with(sound, path, KeyError))
    for path in ("more", "settings.more", "settings.train.stepz", "settings.axes.incremnt"):
        yield f"{path} added", json.dumps(_with(sound, path, [1]))
    yield from (("empty", ""), ("a list", "[]"), ("a number", "5"), ("cut", text[: len(text) // 2]))
    yield "not text", "\x00\x01" + text
    yield "nested", "[" * 100_000


def _with(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with the entry at a dotted path replaced, or without it if the value is KeyError."""
    changed = copy.deepcopy(tree)
    *parents, last = path.split(".")
    branch = changed
    for name in parents:
        branch = branch[name]
    if value is KeyError:
        branch.pop(last)
    else:
        branch[last] = value
    return changed


def of_bytes(flips: int) -> list[tuple[str, int]]:
    """Return kinds of damage to a whole file, with seeds."""
    return [("flipped", seed) for seed in range(flips)] + [
        (how, 0) for how in DAMAGES if how not in ("flipped", "deleted")
    ]


def of_store(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield names and files of a store whose metadata are a stranger's, with a right digest."""
    whole = json.loads(files[".zmetadata"])
    tree = whole["metadata"]
    payload = pickle.dumps(Pickled())
    array = next(name for name in tree if name.startswith("accuracy/") and name.endswith(".zarray"))
    chunk = next(name for name in files if name.startswith("accuracy/") and name[9].isdigit())

    def store(changes: dict[str, Any], entry: str = array, **content: bytes) -> dict[str, bytes]:
        changed = copy.deepcopy(tree)
        changed[entry] = {**changed[entry], **changes}
        digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
        made = {"metadata": changed, "zarr_consolidated_format": 1, "sha256": digest}
        return {**files, ".zmetadata": json.dumps(made).encode(), **content}

    pickled = {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}], "compressor": None}
    yield "pickle as filter", store(pickled) | {chunk: payload}
    yield "pickle as compressor", store({"compressor": {"id": "pickle"}, "filters": None}) | {chunk: payload}
    yield "object dtype", store({"dtype": "|O", "filters": [{"id": "json2"}]}) | {chunk: payload}
    yield "structured dtype", store({"dtype": [["a", "|O"]]}) | {chunk: payload}
    yield "datetime", store({"dtype": "<M8[ns]"})
    yield "bytes", store({"dtype": "|S5"})
    yield "blosc, then pickle", store({"filters": [{"id": "blosc"}, {"id": "pickle"}], "compressor": None})
    yield "unknown codec", store({"filters": [{"id": "os.system"}]})
    yield "filters of another kind", store({"filters": "pickle"})
    yield "order F", store({"order": "F"})
    yield "3.6 TiB", store({"shape": [10**12, 1, 1, 1, 1], "chunks": [1, 1, 1, 1, 1]})
    yield "negative shape", store({"shape": [-1, 2, 4, 2, 2]})
    yield "fill of another kind", store({"fill_value": {"a": 1}})
    yield "format 3", store({"zarr_format": 3})
    yield "settings {", store({"settings": "{"}, ".zattrs")
    yield "settings a list", store({"settings": "[]"}, ".zattrs")
    yield "settings a number", store({"settings": 5}, ".zattrs")
    yield "settings unknown key", store({"settings": '{"axes": {"seed": [0]}, "more": 1}'}, ".zattrs")
    yield "settings of other axes", store({"settings": '{"axes": {"seed": [0]}}'}, ".zattrs")
    yield "no accuracy", {n: c for n, c in files.items() if not n.startswith("accuracy/")}
    yield "name that leaves", {**files, "../x": b"x"}
    yield "unknown file", {**files, "accuracy/9.9.9.9.9": b"x"}
    yield "zarr.json", {**files, "zarr.json": b'{"zarr_format": 3, "node_type": "group"}'}
    yield "no metadata", {n: c for n, c in files.items() if n != ".zmetadata"}
    yield "metadata a list", {**files, ".zmetadata": b"[]"}
    yield (
        "a changed digit of its settings",
        {
            **files,
            ".zmetadata": files[".zmetadata"].replace(b'\\"steps\\": ', b'\\"steps\\": 1', 1),
        },
    )
