"""The study runs; its table in docs/simulation.md is made apart."""

from tests.simulation.study import INTERVALS, TESTS, coverages, error_rates


def test_every_test_and_interval_is_counted():
    rates = error_rates(0.5, n=4, n_bootstrap=20, seed=1)
    assert list(rates) == list(TESTS)
    assert all(share.n == 4 and 0.0 <= share.value <= 1.0 for share in rates.values())
    shares = coverages(0.5, n=3, n_bootstrap=20, seed=2)
    assert list(shares) == list(INTERVALS)
    assert all(len(own) == 4 for own in shares.values())
