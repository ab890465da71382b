"""Made data whose truth is known."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmeta.views import Views

# Standard deviation of the private factors, those of the shared ones being 1: the
# leading principal components of a view are then what it does not share.
PRIVATE_SCALE = 2.0


def make_paired_views(
    n_samples,
    *,
    n_features=(20, 30),
    correlations=(0.9, 0.7),
    noise=0.5,
    nonlinear=False,
    random_state=None,
):
    """Rows of two or more views whose population canonical correlations are known.

    Every view holds the same few shared factors, as many private factors of twice
    their standard deviation, and noise. Between any two views the population
    canonical correlations are exactly `correlations`, then zeros, at every level of
    the noise.

    Parameters
    ----------
    n_samples : int
        Rows.
    n_features : sequence of int, default=(20, 30)
        Columns of each view, so that its length is the number of views. The views are
        named ``"view0"``, ``"view1"``, and so on.
    correlations : sequence of float in [0, 1], default=(0.9, 0.7)
        One a shared factor, in any order; at most as many as the narrowest view has
        columns.
    noise : float, default=0.5
        Standard deviation of the noise, which fills the directions that carry no
        shared factor: more noise hides the factors from methods that look at variance
        and leaves their correlations. At 0 a view has only the rank of its shared and
        private factors.
    nonlinear : bool, default=False
        Whether every second view (the second, the fourth, ...) holds squares of its
        factors, ``(factor ** 2 - 1) / sqrt(2)``, in their place. What it shares with
        its neighbours is then there for nonlinear methods alone: the population
        canonical correlations of two such views are zero.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows at each call.

    Returns
    -------
    Bunch
        ``views`` : Views of `n_samples` rows of float64
            Under the names ``"view0"``, ``"view1"``, and so on.
        ``correlations`` : ndarray (n_shared,)
            Population canonical correlations, descending; with ``nonlinear=True``
            the largest correlations of functions of the views' factors (those of
            their squares). No functions of two views, linear or not, correlate more
            than the first (Lancaster 1957).
        ``shared`` : ndarray (n_samples, n_shared)
            The shared factors.
        ``scores`` : dict of view to ndarray (n_samples, n_shared)
            Each view's copy of the shared factors: its population canonical variates,
            of unit variance; with ``nonlinear=True`` the standardised squares.
        ``weights`` : dict of view to ndarray (n_features, n_shared)
            Its population canonical weights: ``views[name] @ weights[name]`` is
            ``scores[name]``, and with ``nonlinear=True``, in the first, the third, ...
            view, what is squared there.

    References
    ----------
    F. R. Bach and M. I. Jordan (2005). A probabilistic interpretation of canonical
    correlation analysis. Technical report 688, UC Berkeley.

    H. O. Lancaster (1957). Some properties of the bivariate normal distribution
    considered in the form of a contingency table. Biometrika 44, 289-292.

    Examples
    --------
    >>> from skmeta.datasets import make_paired_views
    >>> made = make_paired_views(200, correlations=(0.7, 0.9), random_state=0)
    >>> made.views
    Views(n_rows=200, view0: (200, 20) float64, view1: (200, 30) float64)
    >>> made.correlations
    array([0.9, 0.7])
    """
    n_features = _checked_n_features(n_features)
    rho = _checked_correlations(correlations, n_features)
    _check_scalars(n_samples, noise, nonlinear)
    rng = check_random_state(random_state)

    names = [f"view{i}" for i in range(len(n_features))]
    shared = rng.standard_normal((n_samples, len(rho)))  # (n_samples, n_shared)
    views, scores, weights = {}, {}, {}
    # Squares of normal factors of correlation r correlate by r**2 (Lancaster 1957).
    r = np.sqrt(rho) if nonlinear else rho
    for i, (name, p) in enumerate(zip(names, n_features, strict=True)):
        # Unit variance, and correlation r_k with every other view's k-th factor.
        own = rng.standard_normal(shared.shape)
        factors = np.sqrt(r) * shared + np.sqrt(1.0 - r) * own
        squares = (factors**2 - 1) / np.sqrt(2)  # of unit variance, too
        shown = squares if nonlinear and i % 2 else factors
        views[name], weights[name] = _mixed(shown, p, noise, rng)
        scores[name] = squares if nonlinear else factors
    return Bunch(
        views=Views(**views),
        correlations=rho,
        shared=shared,
        scores=scores,
        weights=weights,
    )


def _mixed(s, p, noise, rng):
    """A view of p columns with the scores s, and its weights.

    With W (p, K) and L (p, q) orthonormal and orthogonal to each other,

        x = W s + c L t + σ (I − W Wᵀ) ε,    t, ε standard normal, c = PRIVATE_SCALE.

    In an orthonormal basis [W, W⊥] x is [s, private], the two parts independent, and
    the private parts of two views independent too. So the cross-covariance of views i
    and j is W_i diag(ρ) W_jᵀ, and that of view i is W_i W_iᵀ + (a matrix on W_i⊥):
    whitened, the cross-covariance is W_i diag(ρ) W_jᵀ as it stands, whose singular
    values are ρ and zeros, whatever c and σ. The noise must leave W alone: added to
    the scores it would shrink ρ. No p x p matrix is made, so views may be wide.
    """
    n, K = s.shape
    q = min(K, p - K)
    W, L = np.split(np.linalg.qr(rng.standard_normal((p, K + q)))[0], [K], axis=1)
    t = rng.standard_normal((n, q))
    noise_rows = rng.standard_normal((n, p))
    noise_rows -= (noise_rows @ W) @ W.T
    X = s @ W.T + PRIVATE_SCALE * (t @ L.T) + noise * noise_rows  # (n, p)
    return X, W


def _is_integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool)


def _checked_n_features(n_features):
    try:
        values = list(n_features)
    except TypeError:
        values = []
    if len(values) < 2 or not all(_is_integer(p) and p >= 1 for p in values):
        raise ValueError(
            f"n_features is {n_features!r}, expected two or more integers of at least "
            "1: pass the number of columns of each view, such as (20, 30)."
        )
    return [int(p) for p in values]


def _checked_correlations(correlations, n_features):
    try:
        rho = np.array(correlations, dtype=np.float64)
    except (TypeError, ValueError):
        rho = np.empty(0)
    if rho.ndim != 1 or not rho.size or not np.all((rho >= 0) & (rho <= 1)):
        raise ValueError(
            f"correlations is {correlations!r}, expected one or more numbers from 0 "
            "to 1: pass one for each shared factor, such as (0.9, 0.7)."
        )
    if rho.size > min(n_features):
        raise ValueError(
            f"correlations has {rho.size} entries, but view"
            f"{int(np.argmin(n_features))} has {min(n_features)} columns and can hold "
            "no more shared factors than that: pass fewer correlations or a larger "
            "n_features."
        )
    return np.sort(rho)[::-1].copy()


def _check_scalars(n_samples, noise, nonlinear):
    if not _is_integer(n_samples) or n_samples < 1:
        raise ValueError(
            f"n_samples is {n_samples!r}, expected an integer of at least 1: pass the "
            "number of rows."
        )
    if not isinstance(noise, Real) or not 0 <= noise < np.inf:
        raise ValueError(
            f"noise is {noise!r}, expected a finite number of at least 0: pass a "
            "standard deviation, such as 0.5."
        )
    if not isinstance(nonlinear, (bool, np.bool_)):
        raise ValueError(
            f"nonlinear is {nonlinear!r}, expected a bool: pass True for squares "
            "in every second view or False for factors alone."
        )
