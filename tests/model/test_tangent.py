"""The tangent kernel of a model, and what it is asked of and read with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffgeo as dg
from diffgeo import diffusion, unet
from diffgeo.data.label_tables import build_label_table
from diffgeo.training.keys import member_key, stream
from tests.support.settings import refused

X = [2.0, 5.0, 3.0]


@pytest.fixture(scope="module")
def model(trained):
    return dg.load(trained / "runs/quickstart").member(increment=0.5, seed=1)


def test_a_step_along_one_labels_gradient_moves_another_by_the_kernel(model):
    """The definition by central differences, of the network's own output at the image and sum that the kernel takes."""
    kernel = model.tangent_kernel(x=X, y=4.0, t=10, draws=1)
    program = model.settings.program
    noise_key, sum_key = jax.random.split(jax.random.fold_in(stream(member_key(1), "tangent"), 0))
    noise = jax.random.normal(noise_key, (1, *program.image_shape))
    schedule = diffusion.from_settings(program.diffusion)
    image = diffusion.q_sample(schedule, jnp.zeros_like(noise), jnp.array([10]), noise)
    weights, network = jax.random.normal(sum_key, program.image_shape), unet.from_program(program)

    @jax.jit
    def summed(params, x):
        label = jnp.array([[x, 4.0]], jnp.float32)
        return (network.apply({"params": params}, image, jnp.array([10]), label)[0][0] * weights).sum()

    gradient = jax.grad(summed)(model.params, 5.0)
    size = 2e-3 / float(jnp.sqrt(kernel[1, 1]))
    ahead, behind = (jax.tree.map(lambda p, g, s=sign: p + s * size * g, model.params, gradient) for sign in (1, -1))
    moved = [(summed(ahead, x) - summed(behind, x)) / (2 * size) for x in X]
    np.testing.assert_allclose(moved, kernel[1], rtol=0.02, atol=0.01 * kernel[1, 1])


def test_the_kernel_is_one_of_labels_and_is_the_same_again(model):
    kernel = model.tangent_kernel(x=X, y=4.0, t=10)
    np.testing.assert_array_equal(kernel, kernel.T)
    values = np.linalg.eigvalsh(kernel.astype(np.float64))
    assert values[0] > -1e-5 * values[-1]
    np.testing.assert_allclose(model.tangent_kernel(x=X[::-1], y=4.0, t=10), kernel[::-1, ::-1], rtol=1e-4)
    several = [model.tangent_kernel(x=X, y=4.0, t=10, draws=draws) for draws in (1, 2)]
    assert not np.allclose(*several, rtol=1e-2), "each draw has an image of its own"
    assert not np.allclose(model.tangent_kernel(x=X, y=4.0, t=20), kernel, rtol=1e-2)
    assert not np.allclose(model.tangent_kernel(x=X, y=4.0, t=10, seed=2), kernel, rtol=1e-2)


def test_many_labels_are_taken_in_parts(model):
    many = np.linspace(1, 6, 18)
    few = model.tangent_kernel(x=many[:2], y=4.0, t=10, draws=1)
    np.testing.assert_allclose(model.tangent_kernel(x=many, y=4.0, t=10, draws=1)[:2, :2], few, rtol=1e-4)


def test_what_has_no_kernel_is_refused(model):
    with refused("t=21 is no diffusion step"):
        model.tangent_kernel(x=X, y=4.0, t=21)
    with refused("draws=0 must be at least 1"):
        model.tangent_kernel(x=X, y=4.0, t=10, draws=0)
    with refused("no tangent kernel"):
        model.edited({"layer4": 0.0}).tangent_kernel(x=X, y=4.0, t=10)


def test_training_labels_are_those_of_the_data(model):
    table = build_label_table(model.settings.data)
    np.testing.assert_array_equal(model.training_labels, table.centers[: int(table.count)])


def test_samples_are_read_as_any_images_are(model):
    drawn = model.sample(x=X, y=4.0)
    read = model.read(drawn["images"], x=X, y=4.0)
    assert read.identical(drawn)
    # pictures of other labels are wrong by what the labels differ
    moved = model.read(model.true_images(x=X, y=5.0), x=X, y=3.0)
    np.testing.assert_allclose(moved.error, 2.0, atol=0.1)
    assert moved.hit.values.tolist() == [[True, False]] * 3
    with refused("images have shape (3, 8, 8): 2 labels ask for (2, 8, 8, 1)"):
        model.read(drawn["images"], x=X[:2], y=4.0)
