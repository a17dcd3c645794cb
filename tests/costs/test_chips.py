"""Descriptions of TPUs that are not here: asked for by name, one device a chip, without a word or a lock."""

import os
import subprocess
import sys

import pytest

from diffgeo.costs import chips
from diffgeo.errors import UserError
from diffgeo.training import Placement
from tests.support.programs import REPOSITORY


def test_unknown_chips_are_refused():
    with pytest.raises(UserError, match=r"unknown topology 'v9:2x2': choose one of v4, v5e, v5p, v6e"):
        chips.target("v9:2x2", Placement())


@pytest.mark.parametrize(
    ("topology", "devices"), [("v4:2x2x1", 4), ("v5e:1x1", 1), ("v5e:16x16", 256), ("v5p", 4), ("v6e", 8)]
)
def test_a_device_is_a_chip(topology, devices):
    pytest.importorskip("libtpu")
    target = chips.target(topology, Placement())
    assert (len(target.devices), target.platform, target.loops) == (devices, "tpu", False)


def test_unknown_shapes_are_refused():
    pytest.importorskip("libtpu")
    with pytest.raises(UserError, match=r"unknown topology 'v5e:3x5' .*: choose a shape as v5e:2x4"):
        chips.target("v5e:3x5", Placement())


def test_two_programs_describe_tpus_at_once_and_print_nothing():
    pytest.importorskip("libtpu")
    chips.target("v5e", Placement())  # this program now holds the library
    code = (
        "from diffgeo.costs import chips; from diffgeo.training import Placement; "
        "print(len(chips.target('v4', Placement()).devices))"
    )
    own = {name: value for name, value in os.environ.items() if name not in chips.COMPILE_ONLY}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=own, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("4\n", "")
