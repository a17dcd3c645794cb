"""Settings from generated texts, as --set takes them: refused in a sentence, or sound to their JSON and back."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from diffgeo.errors import UserError
from diffgeo.settings import LAPTOP, SECTIONS, TINY, Grid, Settings, override

NAMES = [f"{section}.{field}" for section, kind in SECTIONS.items() for field in kind.__dataclass_fields__]
AXES = sorted({name.split(".")[1] for name in NAMES} | {"seed", "increment", "none"})
VALUES = st.one_of(
    st.sampled_from(["", "none", "None", "nan", "inf", "-inf", "1e400", "1e-400", "true", "0x10", "1_000", "½", "[1]"]),
    st.sampled_from(["grid", "uniform", "2d+1d", "square", "bfloat16", "subpixel", "darkest", "constant", "ddim"]),
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-3, 40).map(str),
    st.floats(allow_nan=False).map(str),
    st.floats(-1, 9).map(str),
    st.text(max_size=6),
)
ONE = st.tuples(st.sampled_from(NAMES), VALUES).map("=".join)
AXIS = st.tuples(st.sampled_from(AXES), st.lists(VALUES, min_size=1, max_size=3)).map(
    lambda drawn: f"axes.{drawn[0]}={','.join(drawn[1])}"
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(base=st.sampled_from([TINY, LAPTOP]), texts=st.lists(st.one_of(ONE, AXIS, st.text(max_size=12)), max_size=4))
@example(base=TINY, texts=["train.learning_rate=1e400"])
@example(base=TINY, texts=["axes.increment_x=none,0.5"])
def test_texts_are_refused_in_a_sentence_or_make_sound_settings(base, texts):
    refusal, members = "", []
    try:
        made = override(base, *texts)
        members = Grid(made).members
    except UserError as error:
        refusal = str(error)
    if not members:
        assert refusal.strip()
        assert "\n" not in refusal
        return
    assert Settings.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) == made
    assert len(members) == len({str(member.coordinates) for member in members}) > 0
    for member in members:
        assert hash(member.settings.program) == hash(member.settings.program)


def test_most_single_settings_are_taken():
    """Or the test above would show refusals alone."""
    for name in ("train.steps=7", "data.sigma=0.7", "axes.seed=0,2", "model.heads=2", "evaluation.num_samples=9"):
        assert override(TINY, name) != TINY


@pytest.mark.parametrize("text", ["train.steps=1e3000", "data.sigma=nan"])
def test_what_is_not_finite_is_refused(text):
    with pytest.raises(UserError):
        override(TINY, text)
