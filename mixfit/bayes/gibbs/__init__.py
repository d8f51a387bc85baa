"""Gibbs sampling of mixed models with conjugate priors, every step by its name, all chains in lockstep."""
