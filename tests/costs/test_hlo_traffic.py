"""Traffic of programs written by hand, counted by hand, and of a real one."""

import jax
import jax.numpy as jnp
import pytest

from diffgeo.costs import hlo_traffic

PROGRAM = """
HloModule jit_f, is_scheduled=true

%fused (param_0: f32[8,128], param_1: f32[8,128]) -> f32[8,128] {
  %param_0 = f32[8,128]{1,0:T(8,128)} parameter(0)
  %param_1 = f32[8,128]{1,0:T(8,128)S(1)} parameter(1)
  ROOT %add.1 = f32[8,128]{1,0:T(8,128)} add(%param_0, %param_1)
}

ENTRY %main (x: f32[8,128], y: bf16[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %y = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(1)
  %start = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %near = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%start)
  %part = ((bf16[8,128]{1,0:T(8,128)(2,1)}), bf16[4,128]{1,0:T(8,128)(2,1)S(1)}, s32[]{:S(2)}) slice-start(%y)
  ROOT %sum = f32[8,128]{1,0:T(8,128)} fusion(%x, %near), kind=kLoop, calls=%fused, metadata={op_name="f(x)"}
}
"""


def test_arrays_on_the_chip_are_not_counted():
    """Read: x by the copy, half of y, x by the fusion. Written: the sum."""
    x, y = 8 * 128 * 4, 8 * 128 * 2
    assert hlo_traffic.read(PROGRAM).hbm == x + y // 2 + x + x


def test_operations_touch_what_they_read_and_write_wherever_it_lies():
    """The fusion alone: x, its copy on the chip, and the sum."""
    assert hlo_traffic.read(PROGRAM).operations == 3 * 8 * 128 * 4


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fused_sum_is_read_and_written_once(dtype):
    x = jax.ShapeDtypeStruct((64, 128), jnp.dtype(dtype))
    text = jax.jit(lambda x, y: jnp.maximum(x + y, x * y)).lower(x, x).compile().as_text()
    assert hlo_traffic.read(text) == (3 * 64 * 128 * x.dtype.itemsize,) * 2
