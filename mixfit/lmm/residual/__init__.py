"""Linear models with a covariance of residuals that has parameters: criterion, derivatives, minimum, what follows."""
