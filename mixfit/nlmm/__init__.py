"""Nonlinear mixed models: penalized least squares, the Laplace approximation, and its minimum."""
