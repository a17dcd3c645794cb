"""Damage to stored files, as disks, copies and people do it."""

import random
from pathlib import Path

DAMAGES = ("flipped", "truncated", "emptied", "deleted")


def damage(path: Path, kind: str, seed: int = 0) -> None:
    """Flip a bit of a file, cut it at half its size, empty or delete it; a bit of an empty file: one is added."""
    content, choose = bytearray(path.read_bytes()), random.Random(seed)
    if kind == "deleted":
        path.unlink()
        return
    if kind == "flipped":
        if not content:
            content = bytearray(1)
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    path.write_bytes({"flipped": content, "truncated": content[: len(content) // 2], "emptied": b""}[kind])
