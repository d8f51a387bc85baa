"""Generalized linear mixed models: conditional modes, Laplace, adaptive quadrature."""
