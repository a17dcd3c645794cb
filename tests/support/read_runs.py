"""Tiny runs, trained through the interface once for all of its tests."""

import jax
import pytest

import diffgeo as dg
from diffgeo.training import Placement


def train_on_one_device(patch):
    """Let runs train on the first device alone: each of a test's eight devices would compile the same step anew."""
    place, first = Placement.place, jax.devices()[:1]
    patch.setattr(Placement, "place", lambda own, members, tables: place(own, members, tables, first))


@pytest.fixture
def one_device(monkeypatch):
    """Runs of this test train on one device."""
    train_on_one_device(monkeypatch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder that holds runs/quickstart, 2 increments x 2 seeds, and runs/seed2."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        train_on_one_device(patch)
        dg.train("quickstart", workdir=folder / "runs/quickstart", preset="tiny")
        dg.train("quickstart", workdir=folder / "runs/seed2", preset="tiny", axes={"seed": [2]})
    return folder
