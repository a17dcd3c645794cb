"""A tiny run, trained through the interface once for all of its tests."""

import pytest

import diffgeo as dg


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder that holds runs/quickstart, 2 increments x 2 seeds, and runs/seed2."""
    folder = tmp_path_factory.mktemp("api")
    dg.train("quickstart", workdir=folder / "runs/quickstart", preset="tiny")
    dg.train("quickstart", workdir=folder / "runs/seed2", preset="tiny", axes={"seed": [2]})
    return folder
