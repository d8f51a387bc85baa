"""How long fits take: mixfit against lme4 and glmm, on one machine in one run.

``python -m tests.benchmarks`` prints the table; ``--help`` lists the options.
"""
