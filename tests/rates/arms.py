"""Ten trial arms of a hundred patients each, and what is known of them."""

Y = [22, 34, 27, 48, 29, 49, 23, 45, 17, 34]
N = 100

# Parameters and rates maximized together, to the digits of the source.
JOINT = {"mean": 0.3246, "precision": 32.02}
JOINT_RATES = [0.2415, 0.3338, 0.2799, 0.4414, 0.2953, 0.4491, 0.2492, 0.4184, 0.2030, 0.3338]
# Marginal likelihood, with standard errors, and the modes that follow.
MARGINAL = {"mean": (0.3281, 0.0335), "precision": (23.14, 12.56)}
MODES = [0.2360, 0.3351, 0.2773, 0.4506, 0.2938, 0.4589, 0.2443, 0.4259, 0.1948, 0.3351]
# 95 % profile interval of the precision.
PRECISION_PROFILE = (7.5, 67.4)
