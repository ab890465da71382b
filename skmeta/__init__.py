"""Shared spaces for several modalities, and learning from few rows, in scikit-learn.

A name below loads its module when it is first asked for: ``import skmeta`` itself
costs nothing and brings in no optional library.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see of the two tables
    from skmeta import (
        datasets,
        exceptions,
        few_shot,
        inspection,
        mapping,
        metrics,
        model_selection,
        plotting,
        views,
    )
    from skmeta.few_shot import (
        MAMLFewShotClassifier,
        MAMLFewShotRegressor,
        MetricFewShotClassifier,
        adapt,
    )
    from skmeta.mapping import (
        CCAMapper,
        CCAMapperCV,
        CrossModalRetriever,
        NeuralSharedSpaceMapper,
    )
    from skmeta.persistence import load, save
    from skmeta.views import Views

__version__ = "0.1.0.dev0"

_SUBMODULES = (
    "datasets",
    "exceptions",
    "few_shot",
    "inspection",
    "mapping",
    "metrics",
    "model_selection",
    "plotting",
    "views",
)

_NAMES = {
    "CCAMapper": "skmeta.mapping",
    "CCAMapperCV": "skmeta.mapping",
    "CrossModalRetriever": "skmeta.mapping",
    "MAMLFewShotClassifier": "skmeta.few_shot",
    "MAMLFewShotRegressor": "skmeta.few_shot",
    "MetricFewShotClassifier": "skmeta.few_shot",
    "NeuralSharedSpaceMapper": "skmeta.mapping",
    "Views": "skmeta.views",
    "adapt": "skmeta.few_shot",
    "load": "skmeta.persistence",
    "save": "skmeta.persistence",
}

__all__ = [*_NAMES, *_SUBMODULES, "__version__"]


def __getattr__(name):
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = globals()[name] = getattr(import_module(_NAMES[name]), name)
        return value
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}",
        name=name,
        obj=sys.modules[__name__],
    )


def __dir__():
    return sorted(__all__)
