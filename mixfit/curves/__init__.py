"""Nonlinear mean functions: exact derivatives of any of them, and self-starting ones."""
