"""Tests of the fixed effects: linear functions, hypotheses of terms, denominator degrees of freedom."""
