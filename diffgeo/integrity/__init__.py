"""Integrity of a work folder: everything stored compared with its digests, damaged results computed anew."""

from diffgeo.integrity.repair import repair
from diffgeo.integrity.verify import verify

__all__ = ["repair", "verify"]
