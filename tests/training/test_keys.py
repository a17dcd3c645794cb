"""Named random streams: from the seed alone, different by role and seed, the same traced or not."""

import zlib

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo.settings import Grid, Settings
from diffgeo.training.keys import ROLES, member_key, stream


def members(**axes):
    return Grid(Settings(axes=axes)).members


def numbers(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_keys_come_from_the_seed_alone():
    keys = {}
    for member in members(increment=(0.5, 1.0), periodic=(False, True), seed=(3, 1, 2)) + members(seed=(2, 3, 1)):
        keys.setdefault(member.seed, set()).add(numbers(member_key(member.seed)))
    assert all(len(found) == 1 for found in keys.values())
    assert len(set.union(*keys.values())) == 3


def test_streams_differ_by_role_and_by_seed():
    streams = {numbers(stream(member_key(seed), role)) for seed in (0, 1, 2**32 - 1) for role in ROLES}
    assert len(streams) == 3 * len(ROLES)
    assert not streams & {numbers(member_key(seed)) for seed in (0, 1, 2**32 - 1)}
    for i, role in enumerate(ROLES):  # the roles' numbers as fold_in takes them
        assert all(zlib.crc32(role.encode()) % 2**31 != zlib.crc32(o.encode()) % 2**31 for o in ROLES[:i])


def test_a_role_is_known_or_refused():
    with pytest.raises(ValueError, match="'noisy'"):
        stream(member_key(0), "noisy")


traced = jax.jit(lambda seed: [jax.random.key_data(stream(member_key(seed), role)) for role in ROLES])


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
@hypothesis.example(0)
@hypothesis.example(2**31)
@hypothesis.example(2**32 - 1)
def test_a_traced_seed_gives_the_same_keys(seed):
    plain = [numbers(stream(member_key(seed), role)) for role in ROLES]
    assert [tuple(np.asarray(key).tolist()) for key in traced(jnp.uint32(seed))] == plain


def test_neighboring_seeds_at_the_ends_have_their_own_keys():
    seeds = (0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
    assert len({numbers(member_key(seed)) for seed in seeds}) == len(seeds)


def test_keys_do_not_depend_on_the_default_generator():
    usual = numbers(member_key(5))
    with jax.default_prng_impl("rbg"):
        assert numbers(member_key(5)) == usual
