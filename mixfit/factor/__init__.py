"""Blocked sparse Cholesky of Lambda'Z'WZ Lambda + I: symbolic once, numeric a theta."""
