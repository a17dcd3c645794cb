"""Bytes that a compiled program moves between HBM and the chip, and that its operations touch, read off its text.

The compiler's own "bytes accessed" are more than either: it counts operands that lie in the chip's memory (`S(1)` in
their layout) like those in HBM, and an asynchronous copy between both, which runs beside the operations, four times.
"""

import math
import re
from typing import NamedTuple

WIDTHS = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "bf16": 2,
    "f16": 2,
    "s16": 2,
    "u16": 2,
    "f32": 4,
    "s32": 4,
    "u32": 4,
    "s64": 8,
    "u64": 8,
    "f64": 8,
}
"""Bytes of a number."""

ARRAY = re.compile(rf"\b({'|'.join(WIDTHS)})\[([\d,]*)\](\{{[^}}]*\}})?")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([\w\-]+)\(([^)]*)\)(.*)$")
WITHIN = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
STARTS = ("copy-start", "slice-start", "async-start")
MOVES_NOTHING = {
    *("parameter", "constant", "iota", "tuple", "get-tuple-element", "bitcast", "opt-barrier", "after-all"),
    *("while", "conditional", "call", "partition-id", "copy-done", "slice-done", "async-update", "async-done"),
}


def _arrays(types: str) -> list[tuple[int, bool]]:
    """Bytes of every array in a type, and whether it lies in HBM."""
    return [
        (math.prod(int(n) for n in sides.split(",") if n) * WIDTHS[kind], "S(" not in layout)
        for kind, sides, layout in ARRAY.findall(types)
    ]


class Traffic(NamedTuple):
    """Bytes of one call of a program; a loop's body counts once.

    Attributes:
      hbm: between HBM and the chip, by operations and by asynchronous copies.
      operations: operands and results of all operations, in whichever memory they lie, without asynchronous copies
        from one memory to the other: what the compiler would count if all of it lay in HBM.
    """

    hbm: int
    operations: int


def read(text: str) -> Traffic:
    """Operands and results of every instruction; what a fusion does within itself moves nothing.

    An operand counts whole, though the instruction may read a part of it.

    Args:
      text: of the optimized program, `jax.stages.Compiled.as_text()`.
    """
    computations: dict[str, list[tuple[str, ...]]] = {}
    body: list = []
    for line in text.splitlines():
        if found := COMPUTATION.match(line):
            body = computations.setdefault(found[1], [])
        elif found := INSTRUCTION.match(line):
            body.append(found.groups())
    within = set(WITHIN.findall(text))
    between = touched = 0
    for name, body in computations.items():
        if name in within:
            continue
        types = {made: kind for made, kind, *_ in body}
        for _, made, operation, operands, _ in body:
            if operation in MOVES_NOTHING:
                continue
            if operation in STARTS:
                # a result beside its source: as many bytes as the smaller, once on each side that is HBM
                ends = [end for end in _arrays(made) if end[0] > 4][:2]
                between += min((size for size, _ in ends), default=0) * sum(hbm for _, hbm in ends)
                continue
            given = [types.get(operand, "") for operand in re.findall(r"%([\w.\-]+)", operands)]
            arrays = [array for kind in (made, *given) for array in _arrays(kind)]
            between += sum(size for size, hbm in arrays if hbm)
            touched += sum(size for size, _ in arrays)
    return Traffic(between, touched)
