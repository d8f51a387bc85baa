"""Conditional distributions of the response: densities and their derivatives in the linear predictor."""
