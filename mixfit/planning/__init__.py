"""Before the data: layouts of experiments, models with stated parameters, and what they would find."""
