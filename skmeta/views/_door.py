"""The one door through which X becomes views: nothing else asks what X is.

`open_door` picks a reader for the form in which several views enter: two arrays, a
`Views`, or the columns of one table. A reader learns the views' names, columns and
transformers from the training rows (`fit`) and reads new rows (`read`), or rows of one
view alone (`read_view`), the same way, each time as `Blocks`. Only `claim`, when all
has succeeded, changes the estimator.
"""

from scipy import sparse

from skmeta.views._columns import ColumnsReader
from skmeta.views._named import ViewsReader
from skmeta.views._pair import PairReader
from skmeta.views._views import Views


def open_door(views, X):
    """The reader for this ``views=`` parameter and this kind of X."""
    if views is not None:
        return ColumnsReader(views)
    if isinstance(X, Views):
        return ViewsReader(X)
    if isinstance(X, dict) and not sparse.issparse(X):
        raise TypeError(
            "X is a dict; a dict of views is Views.from_dict(X), and views= says which "
            "columns of one table make which view."
        )
    return PairReader()
