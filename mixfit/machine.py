"""What this machine holds."""

from __future__ import annotations

import os

__all__ = ["is_too_large", "machine_memory"]

# Not worth asking the system about.
_SMALL_MEMORY = 1e9


def machine_memory() -> float:
    """Bytes that this machine has; infinitely many where it does not say."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("inf")


def is_too_large(memory: float) -> bool:
    """Whether this machine cannot hold so many bytes."""
    return memory >= _SMALL_MEMORY and memory > machine_memory()
