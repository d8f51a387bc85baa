"""Empirical Bayes for rates: units whose success probabilities come from one beta distribution."""
