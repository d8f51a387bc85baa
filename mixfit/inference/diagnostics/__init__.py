"""Leverages, influence of rows and groups, and residuals from simulations."""
