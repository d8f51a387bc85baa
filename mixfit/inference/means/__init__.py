"""Marginal means and their contrasts, as R's emmeans; slopes and more through marginaleffects."""
