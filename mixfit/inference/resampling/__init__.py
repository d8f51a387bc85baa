"""The parametric bootstrap: of one fit's estimates, and of comparisons of two."""
