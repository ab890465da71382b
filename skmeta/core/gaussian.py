"""What is known of some of jointly Gaussian variables when others are seen."""

import numpy as np
from scipy.linalg import eigh, pinvh

# Directions with less than this share of the largest variance carry rounding only.
RELATIVE_RANK = 1e-10


def regression(covariance, cross_covariance):
    """Coefficients (given, wanted) of the conditional mean: C_gg^+ C_gw.

    What is given is brought to unit variance first, so that a variable counts for what
    it says and not for its units; one without variance counts for nothing.
    """
    deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    varies = deviation > 0
    unit = np.where(varies, deviation, 1.0)
    correlation = covariance / unit / unit[:, None]
    inverse = pinvh(correlation[np.ix_(varies, varies)], rtol=RELATIVE_RANK)
    coefficients = np.zeros_like(cross_covariance)
    coefficients[varies] = inverse @ (cross_covariance[varies] / unit[varies, None])
    return coefficients / unit[:, None]


def log_density(rows, covariance):
    """Log-density (n,) of centred rows (n, d) under N(0, covariance).

    Variables without variance do not count as dimensions; directions in which the
    others are determined by each other keep a floor of variance, so that a departure
    from them counts against a row instead of being ignored.
    """
    varies = np.diagonal(covariance) > 0
    values, vectors = eigh(covariance[np.ix_(varies, varies)])
    values = np.maximum(values, values.max(initial=0.0) * RELATIVE_RANK)
    whitened = (rows[:, varies] @ vectors) / np.sqrt(values)
    constant = len(values) * np.log(2 * np.pi) + np.log(values).sum()
    return -0.5 * (constant + np.einsum("ij,ij->i", whitened, whitened))


def pointwise_information(rows, covariance, width):
    """Log-density (n,) of rows of ``width`` variables a part, less those of the parts.

    How much more likely the parts of a row are together than apart.
    """
    found = log_density(rows, covariance)
    for start in range(0, rows.shape[1], width):
        part = slice(start, start + width)
        found = found - log_density(rows[:, part], covariance[part, part])
    return found


def predictive_deviations(features, factor, noise):
    """Standard deviations (n_rows, n_outputs) of a Bayesian linear model's outputs.

    Parameters
    ----------
    features : ndarray (n_rows, n_features)
    factor : ndarray (n_features + 1, n_features + 1)
        F, with F F' the covariance of the weights of an output, by its noise; the last
        row is that of the intercept.
    noise : ndarray (n_outputs,)
        Standard deviations.
    """
    spread = features @ factor[:-1] + factor[-1]
    return np.sqrt(1.0 + np.square(spread).sum(axis=1))[:, None] * noise
