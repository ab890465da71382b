"""What linear mappers share: how components are kept, and rows projected."""

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.utils.validation import check_is_fitted

from skmeta._compat import check_sample_weight, foreign_namespace, num_rows, to_host
from skmeta.core.device import OnDevice, project_on_device
from skmeta.core.implicit import project_sparse
from skmeta.core.projection import project
from skmeta.core.relations import view_relations
from skmeta.mapping._base import BaseMapper
from skmeta.mapping._by_view import by_view
from skmeta.views import Views
from skmeta.views._blocks import device_of

MAX_DEFAULT_COMPONENTS = 64

LEARNED_ARRAYS = (
    "correlations_",
    "weights_",
    "loadings_",
    "means_",
    "structure_",
    "score_covariance_",
)


class LinearMapper(BaseMapper):
    """Centred columns times weights are scores, and scores times a scale coordinates.

    A concrete mapper has the parameters ``shrinkage`` or a path of them,
    ``correlation_power``, ``standardize`` and ``unpaired``, and calls `_store` with
    what it has learned.
    """

    def _options(self, names):
        """Parameters by view, checked before any work."""
        self._check_fusion(names)
        return {
            "standardize": by_view(self.standardize, names, "standardize", True),
            "unpaired": self.unpaired,
        }

    def _store(self, learned):
        solution = learned.solution
        self.correlations_ = solution.correlations
        self.weights_ = solution.weights
        self.loadings_ = solution.loadings
        self.means_ = solution.means
        self.structure_ = solution.structure
        self.score_covariance_ = solution.score_covariance
        self.shrinkage_ = solution.shrinkage
        self.rank_ = solution.ranks
        self.n_iter_ = learned.n_iter
        self._deviations = solution.deviations

    def _place(self):
        """What is learned, where the rows are."""
        if self._like is None:
            return
        with config_context(array_api_dispatch=True):
            there = device_of(self._like).from_host
            for name in LEARNED_ARRAYS:
                value = vars(self)[name]
                if isinstance(value, dict):
                    value = {view: there(array) for view, array in value.items()}
                else:
                    value = there(value)
                setattr(self, name, value)

    @property
    def view_relations_(self):
        """Shares of each view's variance: by other view, and its own."""
        check_is_fitted(self)
        return view_relations(
            self._reader.names,
            self._host("score_covariance_"),
            self._host("structure_"),
            self._deviations,
        )

    def _affine(self):
        rho = np.clip(self._host("correlations_"), 0.0, 1.0) ** self.correlation_power
        scales = np.tile(rho, (len(self._reader.names), 1))
        return scales, np.zeros_like(scales)

    def _view_scores(self, name, array):
        if isinstance(array, OnDevice):
            means, weights = self._host("means_"), self._host("weights_")
            return project_on_device(array, means[name], weights[name])
        if sparse.issparse(array):
            return project_sparse(array, self.means_[name], self.weights_[name])
        return project(array, self.means_[name], self.weights_[name])


def checked_n_components(n_components, n_features):
    """The number of components, given the columns of each view."""
    narrowest = min(n_features, key=n_features.get)
    bound = n_features[narrowest]
    if n_components is None:
        return min(MAX_DEFAULT_COMPONENTS, bound)
    if n_components > bound:
        raise ValueError(
            f"n_components={n_components} is more than the {bound} columns of "
            f"the narrowest view, {narrowest!r}; at most {bound} components exist."
        )
    return n_components


def checked_weights(sample_weight, X):
    """Frequencies as float64, or None."""
    if sample_weight is None:
        return None
    if foreign_namespace(sample_weight) is not None:
        sample_weight = to_host(sample_weight)
    if not isinstance(X, Views):
        X = np.empty((num_rows(X), 0))
    weights = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if np.count_nonzero(weights) == 0:
        raise ValueError(
            "Found 0 sample(s) with positive sample_weight while a minimum of 1 is "
            "required."
        )
    return weights


def like_of(blocks):
    """An array without rows where the rows are, None for the host."""
    for array in blocks.arrays.values():
        if isinstance(array, OnDevice):
            return array[:0].array
    return None
