"""What the Displays ask of their input, and the words where it is not so."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import to_host
from skmeta.views._labels import read_labels

# The colours that can be told apart, the one of a last class included.
MAX_CLASSES = 7


def check_mapper(mapper, display, attribute):
    """A fitted mapper that has what the picture is made of."""
    if isinstance(mapper, type) or not hasattr(mapper, "fit"):
        raise TypeError(
            f"{display} draws a fitted mapper such as CCAMapper(...).fit(views); got "
            f"{mapper!r}."
        )
    check_is_fitted(mapper)
    if not hasattr(mapper, attribute):
        raise TypeError(
            f"{display} needs {attribute!r} of the mapper, as CCAMapper has it; "
            f"{type(mapper).__name__} has none. Of a Pipeline or a search, pass the "
            "fitted mapper inside it."
        )


def check_components(components, n_components, *, n=None):
    """Components as a tuple of int, of which there are n."""
    given = (components,) if isinstance(components, Integral) else tuple(components)
    for component in given:
        if not isinstance(component, Integral) or isinstance(component, bool):
            raise TypeError(f"Components are integers from 0 on; got {component!r}.")
        if not 0 <= component < n_components:
            raise ValueError(
                f"Component {component} is out of range: the mapper has "
                f"{n_components}, numbered 0 to {n_components - 1}. Choose among them, "
                "or fit with a larger n_components."
            )
    if n is not None and len(given) != n:
        raise ValueError(f"components must be {n} integers; got {components!r}.")
    if len(set(given)) != len(given) or not given:
        raise ValueError(f"components must differ; got {components!r}.")
    return tuple(int(component) for component in given)


def check_views(wanted, names, *, n=None):
    """Names of the views to draw, those wanted or the first n."""
    names = list(names)
    if wanted is None:
        chosen = names[:n]
    else:
        chosen = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in chosen:
        if name not in names:
            raise ValueError(f"Unknown view {name!r}; the views are {names}.")
    if not chosen:
        raise ValueError(f"No view is named to be drawn; the views are {names}.")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"Each view is named once; got {chosen}.")
    if n is not None and len(chosen) != n:
        raise ValueError(
            f"{n} views are drawn, but there are {len(chosen)}: {chosen}. After "
            "fit(X, Y) of two arrays pass both, X and y."
        )
    return chosen


def check_labels(labels, n_rows, *, limit=MAX_CLASSES):
    """One label a row: the labels as an array, and the classes in order."""
    if np.shape(labels) != (n_rows,):
        raise ValueError(
            f"labels has shape {np.shape(labels)}, but there are {n_rows} rows; labels "
            "are one per row."
        )
    classes, codes = read_labels(labels, "labels")
    if len(classes) > limit:
        raise ValueError(
            f"labels has {len(classes)} classes, and at most {limit} can be told apart "
            'in the picture; put the rarer ones together, for example as "other".'
        )
    return classes[codes], classes


def check_numbers(array, name, *, ndim=None):
    """A finite float array."""
    array = np.asarray(array, dtype=float)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes; got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has NaN or infinity; expected finite numbers.")
    return array


def named_loadings(mapper, views, feature_names, *, n=None):
    """Loadings on the host, and names of their columns, by view to be drawn."""
    loadings = {name: to_host(array) for name, array in mapper.loadings_.items()}
    names = _column_names(mapper, loadings, feature_names)
    chosen = check_views(views, loadings, n=n)
    return {v: loadings[v] for v in chosen}, {v: names[v] for v in chosen}


def _column_names(mapper, loadings, feature_names):
    """Names of the columns of each view: those given, those known, or their places."""
    given = {} if feature_names is None else feature_names
    if not isinstance(given, Mapping):
        raise TypeError(
            f"feature_names is a dict of view to names, of {list(loadings)}; got a "
            f"{type(given).__name__}."
        )
    if given:
        check_views(given, loadings)
    names = {}
    for view, width in ((view, len(array)) for view, array in loadings.items()):
        known = given[view] if view in given else _known_names(mapper, view)
        if known is None:
            known = [f"{view}[{j}]" for j in range(width)]
        if len(known) != width:
            raise ValueError(
                f"feature_names[{view!r}] has {len(known)} names, but the view has "
                f"{width} columns; names are one per column."
            )
        names[view] = [str(name) for name in known]
    return names


def _known_names(mapper, view):
    """What the rows of `fit`, or the view's transformer, said of the columns."""
    reader = getattr(mapper, "_reader", None)
    if (transformers := getattr(reader, "transformers", None)) is not None:
        try:
            return transformers[view].get_feature_names_out()
        except (AttributeError, ValueError):  # a transformer that gives no names
            return None
    return getattr(reader, "columns", {}).get(view)
