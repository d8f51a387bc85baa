"""``python -m tests.simulation``: the tables of docs/simulation.md."""

from __future__ import annotations

import argparse

from tests.simulation.study import INTERVALS, TESTS, coverages, error_rates


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="data sets of each kind")
    parser.add_argument("--bootstrap", type=int, default=400, help="bootstrap replicates of each")
    options = parser.parse_args()
    print("| SD of the groups |", " | ".join(TESTS), "|")
    print("| --: |", " --: |" * len(TESTS))
    for sd in (0.0, 0.5, 1.0):
        rates = error_rates(sd, options.n, options.bootstrap, seed=1)
        print(f"| {sd} |", " | ".join(str(rates[name]) for name in TESTS), "|", flush=True)
    print("\n| SD of the groups | parameter |", " | ".join(INTERVALS), "|")
    print("| --: | --- |", " --: |" * len(INTERVALS))
    for sd in (0.5, 1.0):
        shares = coverages(sd, options.n, options.bootstrap, seed=2)
        for parameter in shares[INTERVALS[0]]:
            cells = " | ".join(str(shares[method][parameter]) for method in INTERVALS)
            print(f"| {sd} | {parameter} |", cells, "|", flush=True)


if __name__ == "__main__":
    main()
