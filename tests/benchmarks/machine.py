"""What the numbers were measured on and with."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

__all__ = ["machine", "packages"]


def machine() -> str:
    """Return processor, number of cores, memory and system in one line."""
    parts = [_processor(), f"{os.cpu_count()} cores"]
    # Not every system tells.
    with suppress(OSError, ValueError):
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB")
    return ", ".join([*parts, f"{platform.system()} {platform.machine()}"])


def packages() -> str:
    """Return the versions of Python and of what mixfit stands on."""
    names = ("numpy", "scipy", "pandas", "formulaic", "statsmodels", "pyarrow")
    versions = [f"{name} {metadata.version(name)}" for name in names]
    return ", ".join([f"Python {platform.python_version()}", *versions])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    model = fields.get("model name", platform.machine())
    # A virtual machine may hide the model behind its maker's name; the numbers still say which it is.
    if "cpu family" in fields and not any(character.isdigit() for character in model):
        model += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return model
