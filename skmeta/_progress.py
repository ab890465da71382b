"""The only file that touches scikit-learn's callback API: progress, and asking to stop.

An estimator that takes callbacks::

    class Mapper(SupportsCallbacks, BaseEstimator):
        @fit_context(prefer_skip_nested_validation=True)   # or @with_callbacks
        def fit(self, X, y=None):
            with Epochs(self, X, y, self.max_iter) as epochs:
                for i in range(self.max_iter):
                    epochs.begin()
                    ...
                    if epochs.end(lambda: {"weights_": weights}):
                        break
                self.weights_ = weights   # before the block ends: callbacks may score

The API is marked as experimental by scikit-learn. Where it is not there, estimators
have no ``set_callbacks`` and fit as they would without callbacks.
"""

try:
    from sklearn.callback import CallbackSupportMixin as SupportsCallbacks
    from sklearn.callback import with_callbacks
except ImportError:  # the API is experimental: it may move

    class SupportsCallbacks:
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method):
        """The method as it is: this scikit-learn has no callbacks."""
        return method


__all__ = ["Epochs", "SupportsCallbacks", "with_callbacks"]


class Epochs:
    """The epochs of a fit, as callbacks see them.

    ``fit`` must be decorated by `with_callbacks`, or by `skmeta._compat.fit_context`,
    which does the same.

    Parameters
    ----------
    estimator : SupportsCallbacks
        That is being fitted.
    X, y : object
        What ``fit`` was given, for callbacks that score: `ScoringMonitor` does where
        neither is None.
    max_iter : int or None
        Number of epochs, at most.
    metadata : dict or None, default=None
        What else ``fit`` was given, as ``sample_weight``.
    """

    def __init__(self, estimator, X, y, max_iter, metadata=None):
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._root = self._epoch = None
        self._max_iter = max_iter

    def __enter__(self):
        estimator = self._given["estimator"]
        if hasattr(estimator, "_init_callback_context"):
            self._root = estimator._init_callback_context(max_subtasks=self._max_iter)
            self._root.call_on_fit_task_begin(**self._given)
        return self

    def __exit__(self, kind, error, trace):
        # Of a fit that fails, callbacks only see the teardown, as in scikit-learn.
        if self._root is not None and kind is None:
            self._root.call_on_fit_task_end(**self._given, reconstruction_attributes={})

    def begin(self):
        """An epoch begins."""
        if self._root is not None:
            self._epoch = self._root.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._given)

    def end(self, attributes=None):
        """An epoch ends.

        Parameters
        ----------
        attributes : callable or None, default=None
            ``() -> dict`` of the attributes that make a copy of the estimator one that
            is fitted as it stands. It is called only where a callback wants to see it.

        Returns
        -------
        bool
            Whether a callback asks to stop.
        """
        if self._root is None:
            return False
        return bool(
            self._epoch.call_on_fit_task_end(
                **self._given, reconstruction_attributes=attributes
            )
        )
