"""Models: a formula and data, read once; and what fits them."""
