"""Pictures of what is fitted, as scikit-learn's Displays.

Each has a ``from_...`` constructor that computes what is to be seen and draws it, and
`plot`, which draws it again, into axes of yours. matplotlib is imported when a picture
is made, and no setting of it is changed.
"""

from skmeta.plotting._adaptation_curve import AdaptationCurveDisplay
from skmeta.plotting._circle import CorrelationCircleDisplay
from skmeta.plotting._heatmap import CrossViewHeatmapDisplay
from skmeta.plotting._loadings import LoadingsDisplay
from skmeta.plotting._pairs_curve import PairsCurveDisplay
from skmeta.plotting._retrieval import RetrievalDisplay
from skmeta.plotting._scree import ScreeDisplay
from skmeta.plotting._search import SearchSurfaceDisplay
from skmeta.plotting._shared_space import SharedSpaceDisplay

__all__ = [
    "AdaptationCurveDisplay",
    "CorrelationCircleDisplay",
    "CrossViewHeatmapDisplay",
    "LoadingsDisplay",
    "PairsCurveDisplay",
    "RetrievalDisplay",
    "ScreeDisplay",
    "SearchSurfaceDisplay",
    "SharedSpaceDisplay",
]
