"""Covariances of the fixed effects that hold where the model's own covariance of the rows does not."""
