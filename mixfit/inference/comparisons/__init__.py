"""Comparisons of nested models: likelihood ratios, single-term deletions, exact tests of one variance."""
