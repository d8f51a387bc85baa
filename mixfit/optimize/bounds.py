"""Bounds of Newton steps, the same for one fit and for many replicates at once."""

__all__ = [
    "CREEPING",
    "LONGEST_STEP",
    "NEGLIGIBLE",
    "NOTHING",
    "ROUNDING",
    "SAFE_PIVOT",
    "SMALLEST_SHARE",
    "STAND_IN",
    "UNKNOWN",
]

# Of one coordinate of a covariance, on the log scale.
LONGEST_STEP = 1.5
# A share of the variance that is the optimum of a column, or of the information: log(0.02) is more than two longest
# steps.
SMALLEST_SHARE = 0.02
# A column whose variance changes A by less than this is at zero, and the boundary's own derivative can tell more.
NEGLIGIBLE = 1.0 - 1e-6
# Eigenvalues of the scaled information, times its size, of which nothing is known.
UNKNOWN = 1e-11
# Smallest pivot of a Cholesky factor that is used as it is.
SAFE_PIVOT = 1e-3
# Diagonal entries that scale nothing.
NOTHING = 1e-150
# Slopes along unknown directions that are rounding.
ROUNDING = 1e-7
# Curvature where the information has failed.
STAND_IN = 1e-3
# A step should leave less of the promised decrease than this: at ten times a step, eight steps reach the certificate
# from anywhere, and what is left beyond the last promise is no more than three times it.
CREEPING = 0.15
