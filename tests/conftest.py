"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# Examples are numerical work of uneven length, and a failure must come back on every run.
settings.register_profile("mixfit", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("mixfit")
