"""`redundancy`: how much of a view's columns the other views' components explain."""

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import to_host
from skmeta.inspection._read import check_mapper


def redundancy(mapper):
    """Shares of each view's variance that its own and other views' components explain.

    A correlation says how well two directions agree, not how much of the views lies in
    them: a component may correlate by .99 and be of one column in a hundred. The
    redundancy of a view, given another, is the mean over its columns of the squared
    correlation with the other view's component [1]_.

    Parameters
    ----------
    mapper : CCAMapper
        Fitted. Nothing but what it learned is needed.

    Returns
    -------
    Bunch
        ``explained`` : dict of str to ndarray of shape (n_components,)
            By view: mean squared correlation of its columns with its own components.
        ``redundancy`` : dict of str to dict of str to ndarray of shape (n_components,)
            ``redundancy[a][b]``: that of view a's columns with view b's components.
            Without shrinkage and at two views, ``explained[a] * correlations_**2``.
        ``total`` : dict of str to dict of str to float
            Summed over components. Without shrinkage and with all components, the
            mean over a's columns of R^2 of a regression on all columns of b. Shrunk
            components are correlated, and their shares overlap.

    Raises
    ------
    TypeError
        If ``mapper`` is no `CCAMapper`.

    Notes
    -----
    Each column counts as one, whatever its variance; constant columns do not count.
    Redundancy is not symmetric: a small view may be explained by a large one that it
    hardly explains.

    References
    ----------
    .. [1] Stewart & Love (1968), "A general canonical correlation index",
       Psychological Bulletin 70(3).

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from skmeta import CCAMapper
    >>> from skmeta.inspection import redundancy
    >>> mapper = CCAMapper(shrinkage=0).fit(*load_linnerud(return_X_y=True))
    >>> redundancy(mapper).redundancy["X"]["Y"].round(4)
    array([0.2584, 0.0175, 0.0008])
    """
    check_mapper(mapper, "redundancy")
    check_is_fitted(mapper)
    structure = to_host(mapper.structure_)
    names, k = list(structure), mapper.correlations_.shape[0]
    explained, shares = {}, {}
    for name in names:
        deviation = mapper._deviations[name]
        live = deviation > 0
        correlations = structure[name][live] / deviation[live, None]  # (p, m * k)
        by_view = np.split((correlations**2).mean(axis=0), range(k, k * len(names), k))
        by_view = dict(zip(names, by_view, strict=True))
        explained[name] = by_view.pop(name)
        shares[name] = by_view
    return Bunch(
        explained=explained,
        redundancy=shares,
        total={
            name: {other: float(share.sum()) for other, share in by_view.items()}
            for name, by_view in shares.items()
        },
    )
