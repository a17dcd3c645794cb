"""Results as comma-separated values: every member and step once, every number where it was measured."""

import csv

import pytest

from diffgeo.errors import UserError
from diffgeo.report import load, rows
from tests.support.programs import REPOSITORY
from tests.support.results import made_up


def test_rows_hold_every_member_and_step(tmp_path):
    found = made_up("p1_fig9", lambda at, t, region: 0.5 * t + (region == "id") / 4)
    with open(rows.write_csv(found, tmp_path / "out" / "x.csv"), newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 3 * found.sizes["step"]
    assert len({(row["hole_area_fraction"], row["seed"], row["step"]) for row in table}) == len(table)
    for row in table:
        at = {
            "hole_area_fraction": float(row["hole_area_fraction"]),
            "seed": int(row["seed"]),
            "step": int(row["step"]),
        }
        for region in ("all", "id", "ood"):
            assert float(row[f"accuracy {region}"]) == pytest.approx(
                float(found["accuracy"].sel(at | {"region": region}))
            )
        assert (row["loss"] == "") == (at["step"] == 0)
    assert "samples" not in table[0]


def test_results_that_train_nothing_have_no_rows(tmp_path):
    computed, _ = load(REPOSITORY / "experiments/gallery/percolation.zip")
    with pytest.raises(UserError, match="have no step"):
        rows.write_csv(computed, tmp_path / "x.csv")
