"""`wilks_test`: tests of canonical correlations by normal theory."""

from numbers import Real

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import to_host
from skmeta.core.significance import wilks_steps
from skmeta.exceptions import check_count
from skmeta.inspection._read import check_mapper


def wilks_test(correlations, n_rows=None, p=None, q=None):
    """p-values of canonical correlations of normal rows: Wilks' lambda, step by step.

    Step k tests that the correlations from the k-th on are all zero.

    Parameters
    ----------
    correlations : CCAMapper or array-like of shape (min(p, q),)
        A mapper of two views, fitted with ``shrinkage=0`` and all components; or all
        canonical correlations, descending, as `canonical_correlations` gives them.
    n_rows : int, default=None
        Rows that the correlations are of. Of a mapper, by default the number (or the
        sum of weights) of the rows that it was fitted to.
    p, q : int, default=None
        Numbers of columns (ranks) of the two views; a mapper knows them.

    Returns
    -------
    Bunch
        ``correlations`` : ndarray of shape (n_components,)
            Those tested.
        ``wilks`` : ndarray of shape (n_components,)
            Wilks' lambda, the product of 1 - r^2 from this component on.
        ``f``, ``f_df``, ``pvalues`` : ndarray
            Rao's F [1]_ with its two degrees of freedom (n_components, 2), and its
            p-values: exact where one of the views has, but for k, at most two columns.
        ``chi2``, ``chi2_df``, ``chi2_pvalues`` : ndarray of shape (n_components,)
            Bartlett's chi-square [2]_.

    Raises
    ------
    ValueError
        If a mapper is shrunk (its correlations have another distribution), is of more
        than two views, lacks components, or does not know its number of rows; if
        correlations are not all of min(p, q), descending, in [0, 1]; or if n_rows is
        not above p + q.

    See Also
    --------
    permutation_test_components : p-values without normality.

    References
    ----------
    .. [1] Rao (1951), "An asymptotic expansion of the distribution of Wilks'
       criterion", Bulletin of the International Statistical Institute 33(2).
    .. [2] Bartlett (1947), "Multivariate analysis", Supplement to the Journal of the
       Royal Statistical Society 9(2).

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from skmeta import CCAMapper
    >>> from skmeta.inspection import wilks_test
    >>> mapper = CCAMapper(shrinkage=0).fit(*load_linnerud(return_X_y=True))
    >>> test = wilks_test(mapper)
    >>> test.wilks.round(8)
    array([0.35039053, 0.95472266, 0.99473355])
    >>> test.pvalues.round(4)
    array([0.0635, 0.9491, 0.7748])
    """
    if hasattr(correlations, "fit"):
        if p is not None or q is not None:
            raise ValueError(
                f"p={p} and q={q} are given beside a mapper, which knows its views; "
                "leave them out."
            )
        correlations, n_rows, p, q = _of_mapper(correlations, n_rows)
    for value, name in ((n_rows, "n_rows"), (p, "p"), (q, "q")):
        if value is None:
            raise ValueError(
                f"{name} is None: the distribution of correlations depends on the "
                "number of rows, n_rows, and of the columns of the views, p and q."
            )
    check_count("p", p)
    check_count("q", q)
    rho = check_correlations(correlations, p, q)
    if len(rho) < min(p, q):
        raise ValueError(
            f"There are {len(rho)} correlations, and {min(p, q)} exist: Wilks' lambda "
            "is the product over all; pass those of all components."
        )
    if not isinstance(n_rows, Real) or not n_rows > p + q:
        raise ValueError(
            f"n_rows={n_rows!r} must be more than p + q = {p + q}: with fewer rows "
            "correlations of 1 hold by construction, and there is nothing to test."
        )
    steps = wilks_steps(rho, n_rows, p, q)._asdict()
    return Bunch(correlations=rho, pvalues=steps.pop("f_pvalues"), **steps)


def check_correlations(correlations, p, q):
    """Correlations (k,) as float64: descending, in [0, 1], at most min(p, q)."""
    rho = np.array(correlations, dtype=np.float64)
    if rho.ndim != 1 or not len(rho):
        raise ValueError(
            f"correlations must be one or more numbers; got shape {rho.shape}."
        )
    if not ((rho >= 0) & (rho <= 1)).all():
        raise ValueError(f"correlations must lie in [0, 1]; got {rho}.")
    if (np.diff(rho) > 0).any():
        raise ValueError(f"correlations must descend; got {rho}.")
    if len(rho) > min(p, q):
        raise ValueError(
            f"There are {len(rho)} correlations, but views of {p} and {q} columns have "
            f"{min(p, q)} components."
        )
    return rho


def _of_mapper(mapper, n_rows):
    """Correlations, rows and ranks of a mapper that is not shrunk."""
    check_mapper(mapper, "wilks_test")
    check_is_fitted(mapper)
    rho = to_host(mapper.correlations_)
    if shrunk := {name: c for name, c in mapper.shrinkage_.items() if c > 0}:
        name, c = next(iter(shrunk.items()))
        raise ValueError(
            f"View {name!r} was shrunk by {c:.3g}, and correlations of shrunk "
            "components do not have the distribution that the test supposes; fit with "
            "shrinkage=0, or use permutation_test_components."
        )
    if len(mapper.rank_) != 2:
        raise ValueError(
            f"Components of two views can be tested, and there are "
            f"{len(mapper.rank_)}: {list(mapper.rank_)}; test them by pairs."
        )
    p, q = mapper.rank_.values()
    if len(rho) < min(p, q):
        raise ValueError(
            f"The mapper has {len(rho)} of {min(p, q)} components, and Wilks' lambda "
            f"is the product over all; fit with n_components={min(p, q)}."
        )
    if n_rows is None:
        patterns = getattr(mapper, "_patterns", None)
        if mapper.n_iter_ or not patterns:
            raise ValueError(
                "The mapper does not know how many rows its correlations are of "
                + (
                    "(EM learned from rows that lack a view)"
                    if mapper.n_iter_
                    else "(its moments were not kept)"
                )
                + "; pass n_rows."
            )
        n_rows = patterns[True, True].n
    # Beyond the rank components are zero, and none; rounding may exceed 1, or put
    # correlations that are equal in another order.
    rho = np.sort(np.clip(rho[: min(p, q)], 0.0, 1.0))[::-1]
    return rho, n_rows, p, q
