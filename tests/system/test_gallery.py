"""experiments/gallery: summaries are of the presets as they are committed, and everything shown is there and small."""

import json
import re
from pathlib import Path

import pytest

import experiments
from diffgeo.report import summary
from diffgeo.results import settings_tree

FOLDER = Path(experiments.__file__).parent
TEXT = (FOLDER / "README.md").read_text()
SUMMARIES = sorted((FOLDER / "gallery").glob("*.zip"))


@pytest.mark.parametrize("name", experiments.names())
def test_the_summary_is_of_the_preset_as_committed(name):
    found = summary.read(FOLDER / "gallery" / f"{name}.zip")
    preset = experiments.find(name).settings(found.attrs["preset"])
    assert found.attrs["experiment"] == name
    assert settings_tree(found) == json.loads(json.dumps(preset.to_json()))
    assert len(found.attrs["commit"]) == 12


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_every_summary_is_small_and_spoken_of(path):
    assert path.stat().st_size < 1e6
    assert f"{path.stem}.zip" in TEXT or f"`{path.stem}`" in TEXT


def test_pictures_are_small_and_exactly_those_of_the_text():
    shown = set(re.findall(r"\(gallery/([\w.]+\.png)\)", TEXT))
    stored = {path.name: path.stat().st_size for path in (FOLDER / "gallery").glob("*.png")}
    assert shown == set(stored)
    assert max(stored.values()) < 200e3
