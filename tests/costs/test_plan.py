"""Plans: arithmetic on made-up figures, and one real program compiled for a TPU that is not here."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.costs import by_hand, chips, plan
from diffgeo.costs.chips import Chip, Target
from diffgeo.costs.plan import ProgramCost, TooLarge
from diffgeo.errors import UserError
from diffgeo.host import platform
from diffgeo.host.platform import GIB
from diffgeo.training import Placement
from diffgeo.unet import conv
from tests.support.programs import assert_refused
from tests.support.settings import tiny

CHIP = Chip("made-up", flops=1e12, bandwidth=1e11, hbm=16 * GIB, one_host="", source="nowhere")


def target(hbm: float = 16.0, **placement) -> Target:
    """Return eight devices with so many GiB."""
    chip = dataclasses.replace(CHIP, hbm=hbm * GIB)
    return Target(chip, "made-up", jax.devices(), Placement(mapping="sharded", **placement))


@pytest.fixture
def figures(monkeypatch):
    """Compiles nothing: a member's step takes 3 GiB, 4 GFLOP and 0.1 GB; its sampler half of that."""

    def cost(count, on, fraction=1.0):
        numbers = count * fraction * np.array([4e9, 1e8, GIB, 2 * GIB, 0])
        return plan.checked(ProgramCost(*(int(n) for n in numbers), {}), on)

    monkeypatch.setattr(plan, "training_step", lambda members, count, rows, on: cost(count, on))
    monkeypatch.setattr(plan, "sampler", lambda members, count, rows, on, labels, record: cost(count, on, 0.5))


FORTY = {"increment": (0.5, 1.0), "seed": tuple(range(20))}


@pytest.mark.parametrize(("hbm", "per_device", "waves"), [(16.0, 5, 1), (10.0, 3, 2), (3.5, 1, 5)])
def test_members_and_waves_follow_from_the_memory(figures, hbm, per_device, waves):
    settings = tiny(**FORTY)
    planned = plan.plan(settings, target(hbm))
    json.dumps(planned)
    (one,) = planned["programs"]
    assert (planned["members"], planned["devices"]) == (40, 8)
    assert (one["members_per_device"], one["waves"]) == (per_device, waves)
    assert one["members_at_once"] == min(40, 8 * per_device)
    assert one["members_repeated"] == 0
    training = one["training"]
    assert training["flops_per_model_step"] == pytest.approx(4e9)
    assert training["bytes_per_model_step"] == pytest.approx(1e8)
    assert training["seconds_per_step"] == pytest.approx(per_device * max(4e9 / 1e12, 1e8 / 1e11))
    assert training["bound"] == "compute"
    calls = one["sampling"]["network_calls"]
    assert calls == settings.evaluation.sampler_steps
    evaluation = calls * one["sampling"]["seconds_per_evaluation"] / calls
    steps = settings.train.steps * training["seconds_per_step"]
    assert planned["seconds"] == pytest.approx(waves * (steps + len(settings.evaluation_steps) * evaluation))
    assert planned["checkpoints_bytes"] == by_hand.describe(settings)["checkpoints_bytes"]
    assert "GFLOP" in plan.as_text(planned)


def test_a_batch_over_two_devices_halves_the_groups(figures):
    (one,) = plan.plan(tiny(**FORTY), target(data_parallel=2))["programs"]
    assert (one["members_per_device"], one["waves"]) == (5, 2)
    with pytest.raises(UserError, match="data_parallel=3 does not divide the 8 devices"):
        plan.plan(tiny(), target(data_parallel=3))


def test_members_that_do_not_divide_are_reported(figures):
    planned = plan.plan(tiny(seed=tuple(range(30))), target())
    assert planned["programs"][0]["members_repeated"] == 2
    assert "30 members do not divide over the devices: the spare slots of the last wave (2)" in plan.as_text(planned)


def test_what_does_not_fit_is_refused_with_the_number_that_does(figures):
    with pytest.raises(UserError, match=r"5 members a device do not fit .* 10\.00 GiB \(arguments 5\.00 GiB, .*: 3 do"):
        plan.plan(tiny(**FORTY), target(10.0, members_per_device=5))
    with pytest.raises(UserError, match=r"1 member a device does not fit made-up with 2\.00 GiB .*0 do"):
        plan.plan(tiny(**FORTY), target(2.0))


def test_bound_by_memory():
    program = ProgramCost(1e9, 1e9, 0, 0, 0, {})
    assert program.seconds(CHIP) == pytest.approx(1e-2)
    with pytest.raises(TooLarge):
        plan.checked(program._replace(temporaries=17 * GIB), target())


def test_no_more_members_a_device_than_one_wave_needs(figures):
    (one,) = plan.plan(tiny(seed=(0, 1, 2)), target(members_per_device=4))["programs"]
    assert (one["members_per_device"], one["members_at_once"], one["waves"]) == (1, 3, 1)


def test_equal_programs_are_compiled_once():
    def cost(rows, topology="made-up"):
        program = jax.jit(lambda x: x @ x).lower(jax.ShapeDtypeStruct((rows, rows), jnp.float32))
        return plan.compiled(lambda: program, dataclasses.replace(target(), topology=topology))

    first = cost(8)
    assert first.flops >= 2 * 8**3
    assert cost(8) is first
    assert cost(8, "another") is not first
    assert cost(16).flops > first.flops


def test_kernels_are_those_of_the_target():
    images, kernel = jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 5))

    def traced():
        return str(jax.make_jaxpr(lambda x, k: conv.conv3x3(x, k))(images, kernel))

    assert "conv_general_dilated" not in traced()
    with platform.compiling_for("tpu"):
        assert platform.platform() == "tpu"
        assert "conv_general_dilated" in traced()
    assert platform.platform() == "cpu"


def test_an_experiment_that_trains_nothing_has_no_plan(launch):
    assert_refused(launch("plan", "--experiment=p1_fig7", "--topology=v5e:2x4"), "trains nothing")


@pytest.mark.slow
def test_the_program_plans_for_a_chip_that_is_not_here(launch, tmp_path):
    pytest.importorskip("libtpu")
    flags = ["--experiment=p1_fig4", "--preset=tiny", "--seeds=0", "--set=axes.increment=1", "--topology=v5e:1x1"]
    done = launch("plan", *flags, "--json", f"--compile_cache={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    (one,) = json.loads(done.stdout)["programs"]
    assert one["members_at_once"] == one["waves"] == 1
    assert not any(tmp_path.iterdir()), "JAX warns of what it stores for a chip that is not here: it cannot read it"


@pytest.mark.slow
def test_a_real_step_compiled_for_a_tpu():
    pytest.importorskip("libtpu")
    eight = tiny(seed=tuple(range(8)))
    described = chips.target("v5e:2x4", Placement())
    assert (len(described.devices), described.platform) == (8, "tpu")
    (one,) = plan.plan(eight, described)["programs"]
    assert one["training"]["collectives"] == {}
    assert one["sampling"]["collectives"] == {}
    assert one["members_per_device"] == 1
    # at these widths the operations that are not counted by hand weigh as much as those that are
    assert 0.5 < one["training"]["flops_per_model_step"] / one["training"]["flops_per_model_step_by_hand"] < 10
    small = dataclasses.replace(described, chip=dataclasses.replace(described.chip, hbm=1e6))
    with pytest.raises(UserError, match=r"does not fit v5e:2x4 .*arguments .*temporaries .*0 do"):
        plan.plan(eight, small)
