"""`permutation_test_components`: how many components are more than chance."""

import numpy as np
from sklearn.utils import Bunch, check_array, check_random_state

from skmeta.core.bases import standardised
from skmeta.core.significance import (
    STATISTICS,
    canonical_variables,
    observed_statistics,
    permuted_statistics,
    step_down_pvalues,
    within_groups,
)
from skmeta.exceptions import check_count
from skmeta.inspection._read import (
    check_groups,
    check_mapper,
    n_components_of,
    read_blocks,
)
from skmeta.mapping._bases import complete_rows, view_bases


def permutation_test_components(
    mapper,
    X,
    y=None,
    *,
    n_permutations=1000,
    groups=None,
    confounds=None,
    statistic="wilks",
    random_state=None,
):
    """p-values of canonical correlations, by permuting the rows of one view.

    Step down [1]_: the k-th p-value is of what is left when the components before it
    are taken out, and is not below theirs. The components whose p-value is at most
    alpha are more than chance, but for a risk of alpha that any of them is not.

    Parameters
    ----------
    mapper : CCAMapper
        Fitted or not; it is not changed. Its ``views`` says what the two views of X
        are, ``n_components`` how many are tested (None for all). Tested are the
        correlations of the views themselves, without ``shrinkage``.
    X, y
        Rows as in ``mapper.fit``. Rows that lack a view are left out.
    n_permutations : int, default=1000
        The smallest possible p-value is 1 / (n_permutations + 1).
    groups : array-like of shape (n_rows,), default=None
        Rows change places within their group only: repeated measurements of a
        subject, rows of a site. What groups differ by is then in every permutation.
    confounds : array-like of shape (n_rows, n_confounds), default=None
        Numbers that may explain both views, such as age. What they explain is taken
        out of both, and the residuals permuted in the n - r dimensions that r confounds
        (with the constant) leave [2]_. Residuals permuted as n rows reject far too
        often, since they are correlated.
    statistic : {"wilks", "roy"}, default="wilks"
        Wilks' lambda of all correlations that are left, as -log(lambda), or the largest
        of them (Roy), as a correlation. The first sees many small correlations, the
        second few large ones.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same permutations at each call.

    Returns
    -------
    Bunch
        ``pvalues`` : ndarray of shape (n_components,)
            Ascending; adjusted for the number of components.
        ``correlations`` : ndarray of shape (n_components,)
            Descending; with confounds, of the residuals.
        ``statistics`` : ndarray of shape (n_components,)
            Of what is left at each step.
        ``null`` : ndarray of shape (n_permutations, n_components)
            The same of each permutation.
        ``n_rows`` : int
            Rows that were permuted; with confounds, n - r.

    Raises
    ------
    ValueError
        If there are not two views; if their ranks add up to more than the rows, less
        one for the mean (with confounds, than n - r), so that correlations of 1 hold by
        construction; if nothing can be permuted; if groups and confounds are both
        given; and where ``mapper.fit`` raises.
    TypeError
        If ``mapper`` is no `CCAMapper`.

    See Also
    --------
    wilks_test : p-values of normal theory, without rows.

    Notes
    -----
    Components that are taken out leave bases of what is left in each view, so that
    variance that is not shared stays in the test. Both views are whitened once; a
    permutation costs one product and one Cholesky factor, whatever the number of steps.
    Without confounds the first p-value is exact for rows that are exchangeable; with
    confounds it supposes residuals that are uncorrelated and of equal variance, exactly
    if normal.

    References
    ----------
    .. [1] Winkler, Renaud, Smith & Nichols (2020), "Permutation inference for canonical
       correlation analysis", NeuroImage 220.
    .. [2] Huh & Jhun (2001), "Random permutation testing in multiple linear
       regression", Communications in Statistics - Theory and Methods 30(10).

    Examples
    --------
    >>> from skmeta import CCAMapper
    >>> from skmeta.datasets import make_paired_views
    >>> from skmeta.inspection import permutation_test_components
    >>> views = make_paired_views(300, correlations=(0.9, 0.7), random_state=0).views
    >>> test = permutation_test_components(CCAMapper(), views, random_state=0)
    >>> int((test.pvalues <= 0.05).sum())
    2
    """
    check_mapper(mapper, "permutation_test_components")
    check_count("n_permutations", n_permutations)
    if statistic not in STATISTICS:
        raise ValueError(
            f"statistic must be one of {list(STATISTICS)}; got {statistic!r}."
        )
    if groups is not None and confounds is not None:
        raise ValueError(
            "groups and confounds do not go together: the rows of residuals after "
            "confounds mix rows of all groups, so that they cannot change places "
            "within a group. Pass one of them, or put what tells groups apart among "
            "the confounds."
        )
    rng = check_random_state(random_state)
    blocks, reader = read_blocks(mapper, X, y)
    if len(reader.names) != 2:
        raise ValueError(
            f"Components of two views can be tested, and there are "
            f"{len(reader.names)}: {list(reader.names)}; test them by pairs."
        )
    k = slice(n_components_of(mapper, reader.n_features))
    rows = complete_rows(blocks, reader.names)
    codes = _permutable(check_groups(groups, blocks.n_rows), rows)
    design = _checked_confounds(confounds, blocks.n_rows, rows)
    bases = view_bases(blocks, reader.names, rows, design)

    variables = canonical_variables(*bases)
    permute = within_groups(codes, rng)
    observed = observed_statistics(variables, STATISTICS[statistic])
    null = permuted_statistics(
        variables, n_permutations, permute, STATISTICS[statistic]
    )
    return Bunch(
        pvalues=step_down_pvalues(observed, null)[k],
        correlations=variables.correlations[k],
        statistics=observed[k],
        null=null[:, k],
        n_rows=len(variables.left),
    )


def _permutable(codes, rows):
    """Codes of groups of the rows that count."""
    if codes is None:
        return None
    codes = codes[rows]
    if np.bincount(codes).max() < 2:
        raise ValueError(
            f"Each of the {len(rows)} rows is a group of its own, so no two can change "
            "places; groups are of rows that may."
        )
    return codes


def _checked_confounds(confounds, n_rows, rows):
    """Standardised confounds (n, c) of the rows that count, None for None."""
    if confounds is None:
        return None
    array = check_array(
        confounds, dtype=np.float64, ensure_2d=False, input_name="confounds"
    )
    array = array.reshape(len(array), -1)
    if len(array) != n_rows:
        raise ValueError(f"confounds has {len(array)} rows, but X has {n_rows}.")
    return standardised(array[rows])[0]
