"""Covariance of the random effects: relative factors, one small template a term."""
