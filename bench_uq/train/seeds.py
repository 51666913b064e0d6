"""Random streams: every stage of a run seeds from the run's seed and its own name."""

from __future__ import annotations

import hashlib


def seed_of(seed: int, *stage: str | int) -> int:
    """63-bit seed that belongs to this run seed and stage alone."""
    text = "/".join(map(str, (seed, *stage)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
