"""The ANOVA estimator of the balanced one-way layout."""
