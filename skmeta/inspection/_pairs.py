"""`pairs_needed`: how many rows make correlations found and true ones agree."""

from functools import partial
from numbers import Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmeta.core.power import expectation, fewest_rows
from skmeta.exceptions import check_count
from skmeta.inspection._wilks import check_correlations

# Moments of one draw; some more of their size are made of them.
MAX_DRAW_BYTES = 512 * 2**20


def pairs_needed(
    correlations,
    p,
    q,
    *,
    power=0.9,
    max_bias=0.05,
    alpha=0.05,
    n_simulations=500,
    max_rows=10**6,
    random_state=None,
):
    """The number of pairs of rows from which components are found, and found right.

    Correlations found in few rows are too high: the first of two views that have
    nothing in common is about sqrt(p / n) + sqrt(q / n). From simulation: how much too
    high, how often each component is significant, and what the components found are
    worth on new rows, against the number of rows.

    Parameters
    ----------
    correlations : array-like of shape (n_components,)
        The true canonical correlations above 0, descending: a guess, or held-out
        correlations. Those that a fit reports of its training rows are too high.
    p, q : int
        Numbers of columns of the two views.
    power : float, default=0.9
        Each component is to be significant in this share of studies.
    max_bias : float, default=0.05
        Correlations found may be this much too high, on average.
    alpha : float, default=0.05
        Level of the test: Wilks' lambda step by step, by Rao's F.
    n_simulations : int, default=500
        Draws for each number of rows. A share of .9 is known to .013 from 500.
    max_rows : int, default=1_000_000
        Where the search ends.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same draws at each call.

    Returns
    -------
    Bunch
        ``n_rows`` : int or None
            The fewest rows that meet both goals for all components, to about 2 % and
            the noise of the simulation; None where ``max_rows`` do not.
        ``table`` : Bunch of ndarray
            What was tried, by ascending ``n_rows`` (n,): ``bias``, ``power`` and
            ``new_rows`` (n, n_components), the mean correlation of the components
            found on rows that they have not seen.

    Raises
    ------
    ValueError
        If correlations do not descend within (0, 1), are more than min(p, q), a goal
        cannot be, or moments of p + q columns would take more than 512 MB.

    See Also
    --------
    permutation_test_components : Whether components found in rows at hand are real.

    Notes
    -----
    Drawn are the moments of normal rows (Bartlett's decomposition of a Wishart matrix),
    so that the time does not depend on the number of rows. The fit that is simulated is
    unshrunk; shrinkage needs fewer rows.

    Examples
    --------
    >>> from skmeta.inspection import pairs_needed
    >>> needed = pairs_needed([0.5, 0.3], p=10, q=8, random_state=0)
    >>> 200 < needed.n_rows < 500
    True
    """
    check_count("p", p)
    check_count("q", q)
    check_count("n_simulations", n_simulations)
    least = p + q + 2
    check_count("max_rows", max_rows, least)
    rho = check_correlations(correlations, p, q)
    if not ((rho > 0) & (rho < 1)).all():
        raise ValueError(
            f"correlations must lie above 0 and below 1; got {rho}. Leave out those "
            "that are 0."
        )
    n_bytes = 8 * (p + q) ** 2
    if n_bytes > MAX_DRAW_BYTES:
        raise ValueError(
            f"The moments of {p} and {q} columns would take {n_bytes / 2**30:.1f} GB a "
            "draw; ask for views reduced to fewer columns, for example by PCA."
        )
    for value, name in ((power, "power"), (max_bias, "max_bias"), (alpha, "alpha")):
        if not isinstance(value, Real) or not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1; got {value!r}.")

    def enough(row):
        return (row.power >= power).all() and (row.bias <= max_bias).all()

    # The same seed for each number of rows: what they differ by is less of chance.
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    expect = partial(_expect, rho, p, q, n_simulations, alpha, seed)
    rows, n_rows = fewest_rows(expect, enough, least, int(max_rows))
    return Bunch(
        n_rows=n_rows,
        table=Bunch(
            n_rows=np.array([row.n for row in rows]),
            bias=np.array([row.bias for row in rows]),
            power=np.array([row.power for row in rows]),
            new_rows=np.array([row.new for row in rows]),
        ),
    )


def _expect(rho, p, q, n_draws, alpha, seed, n):
    rng = check_random_state(seed)
    return expectation(rho, n, p, q, n_draws=n_draws, alpha=alpha, rng=rng)
