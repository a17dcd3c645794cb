"""Bytes that a compiled program moves between HBM and the chip, and that its operations access, parsed from its HLO.

The compiler's "bytes accessed" exceed both: it counts operands in on-chip memory (`S(1)` in their layout) like those in
HBM, and an asynchronous copy between the two, which overlaps with operations, four times.
"""

import math
import re
from typing import NamedTuple

WIDTHS = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8} | {
    f"{sign}{bits}": bits // 8 for sign in "su" for bits in (8, 16, 32, 64)
}
"""Bytes of a number of each type."""

ARRAY = re.compile(rf"\b({'|'.join(WIDTHS)})\[([\d,]*)\](\{{[^}}]*\}})?")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([\w\-]+)\(([^)]*)\)(.*)$")
CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
STARTS = ("copy-start", "slice-start", "async-start")
MOVES_NOTHING = {
    *("parameter", "constant", "iota", "tuple", "get-tuple-element", "bitcast", "opt-barrier", "after-all"),
    *("while", "conditional", "call", "partition-id", "copy-done", "slice-done", "async-update", "async-done"),
}


def _arrays(types: str) -> list[tuple[int, bool]]:
    """Return the bytes of every array in a type, and whether it is in HBM."""
    return [
        (math.prod(int(n) for n in sides.split(",") if n) * WIDTHS[kind], "S(" not in layout)
        for kind, sides, layout in ARRAY.findall(types)
    ]


class Traffic(NamedTuple):
    """Bytes of a call of a program; a loop's body counts once.

    Attributes:
      hbm: between HBM and the chip, by operations and by asynchronous copies.
      operations: operands and results of all operations in either memory, without asynchronous copies between the two:
        the compiler's count if everything were in HBM.
    """

    hbm: int
    operations: int


def read(text: str) -> Traffic:
    """Sum operands and results of every instruction outside fusions, whose inner instructions move nothing.

    An operand counts as a whole, though the instruction may read only a part of it.

    Args:
      text: of the optimized program, `jax.stages.Compiled.as_text()`.
    """
    computations: dict[str, list[tuple[str, ...]]] = {}
    body: list[tuple[str, ...]] = []
    for line in text.splitlines():
        if match := COMPUTATION.match(line):
            body = computations.setdefault(match[1], [])
        elif match := INSTRUCTION.match(line):
            body.append(match.groups())
    fused = set(CALLED.findall(text))
    moved = accessed = 0
    for name, body in computations.items():
        if name in fused:
            continue
        types = {result: kind for result, kind, *_ in body}
        for _, result_type, operation, operands, _ in body:
            if operation in MOVES_NOTHING:
                continue
            if operation in STARTS:
                # the type holds source and result: the bytes of the smaller, counted for each of the two in HBM
                ends = [end for end in _arrays(result_type) if end[0] > 4][:2]
                moved += min((size for size, _ in ends), default=0) * sum(hbm for _, hbm in ends)
                continue
            operand_types = [types.get(operand, "") for operand in re.findall(r"%([\w.\-]+)", operands)]
            arrays = [array for kind in (result_type, *operand_types) for array in _arrays(kind)]
            moved += sum(size for size, hbm in arrays if hbm)
            accessed += sum(size for size, _ in arrays)
    return Traffic(moved, accessed)
