"""How a process learns that it is one of several; real processes over loopback are in tests/system/test_pods.py."""

import jax
import pytest

from diffgeo.errors import UserError
from diffgeo.host import distributed


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, False),  # within an allocation, not started by srun
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n[1-4]"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n1"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"MEGASCALE_NUM_SLICES": "2"}, True),
    ],
)
def test_clusters_are_known_by_their_variables(variables, expected):
    assert distributed.is_one_of_several("auto", None, variables) is expected
    assert distributed.is_one_of_several("off", "host:1", variables) is False
    assert distributed.is_one_of_several("on", None, variables) is True
    assert distributed.is_one_of_several("auto", "host:1", {}) is True


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (("127.0.0.1:9", 2, None), "--coordinator=127.0.0.1:9, --processes=2 needs --process too"),
        (("here", 2, 0), "--coordinator=here must be the HOST:PORT"),
        (("127.0.0.1:9", 2, 2), "--process=2 must be from 0 to --processes=2 less one"),
    ],
)
def test_bad_descriptions_of_the_processes(description, message):
    with pytest.raises(UserError, match=message):
        distributed.start(*description)


def test_a_process_alone_does_the_plain_thing(capsys):
    def refuse():
        raise UserError("refused")

    assert not distributed.is_multiprocess()
    assert distributed.is_coordinator()
    value = {"not": ("JSON",)}
    assert distributed.broadcast(lambda: value) is value
    with pytest.raises(UserError, match="refused"):
        distributed.broadcast(refuse)
    assert distributed.all_max(7)() == 7
    distributed.say("said")
    assert capsys.readouterr().out == "said\n"
    assert distributed.shutdown(), "the only process goes on"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("UNKNOWN: Gloo AllGather failed: [pair.cc:547] Connection closed by peer [127.0.0.1]:34725"), True),
        (jax.errors.JaxRuntimeError("UNAVAILABLE: Socket closed"), True),
        (jax.errors.JaxRuntimeError("INTERNAL: out of memory"), False),
        (ValueError("operands could not be broadcast together"), False),
        (OSError("Connection reset by peer"), False),
    ],
)
def test_a_lost_process_is_told_from_other_errors(error, expected):
    assert distributed.lost(error) is expected
