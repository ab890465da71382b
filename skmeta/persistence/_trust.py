"""The types that a model file may hold: a fixed table, and what skops itself trusts.

skops trusts the estimators of scikit-learn, numpy's scalars and ufuncs. A name here is
part of the file format: where a class moves, its old module keeps an alias and the
table both names, and old files load (the golden files of the tests hold it to that).
A new estimator is one line; its fitted state has to be numpy and plain Python.
"""

from inspect import isfunction

from sklearn import feature_selection, metrics

# skmeta's own: estimators, scorers, the readers of views, what is kept of rows.
OWN = (
    "skmeta.core.calibration.Table",
    "skmeta.core.classes.Axes",
    "skmeta.core.convnet.ConvNetwork",
    "skmeta.core.moments.Moments",
    "skmeta.core.network.Layer",
    "skmeta.core.network.Network",
    "skmeta.few_shot._embedding.Embedding",
    "skmeta.few_shot._held_out.Calibration",
    "skmeta.few_shot._maml_classifier.MAMLFewShotClassifier",
    "skmeta.few_shot._maml_regressor.MAMLFewShotRegressor",
    "skmeta.few_shot._maml_fit.Learned",
    "skmeta.few_shot._maml_fit.Recipe",
    "skmeta.few_shot._metric.MetricFewShotClassifier",
    "skmeta.mapping._cca.CCAMapper",
    "skmeta.mapping._cca_cv.CCAMapperCV",
    "skmeta.mapping._neural.NeuralSharedSpaceMapper",
    "skmeta.mapping._retriever.CrossModalRetriever",
    "skmeta.metrics.RetrievalScorer",  # until it moved
    "skmeta.metrics._episodic.EpisodicScorer",
    "skmeta.metrics._retrieval.RetrievalScorer",
    "skmeta.model_selection._rules.fewest_components",
    "skmeta.model_selection._splitters.ClassDisjointKFold",
    "skmeta.model_selection._splitters.EpisodeSplit",
    "skmeta.persistence._pack.Packed",
    "skmeta.views._columns.ColumnsReader",
    "skmeta.views._named.ViewsReader",
    "skmeta.views._pair.PairReader",
)

# What scikit-learn's estimators hold beside estimators. None of these does anything
# when it is made; trees are not among them, since they are read without checks.
SKLEARN = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV",
    *(
        f"sklearn.model_selection._split.{name}"
        for name in (
            "GroupKFold",
            "GroupShuffleSplit",
            "KFold",
            "LeaveOneGroupOut",
            "LeaveOneOut",
            "LeavePGroupsOut",
            "LeavePOut",
            "PredefinedSplit",
            "RepeatedKFold",
            "RepeatedStratifiedKFold",
            "ShuffleSplit",
            "StratifiedGroupKFold",
            "StratifiedKFold",
            "StratifiedShuffleSplit",
            "TimeSeriesSplit",
            "_CVIterableWrapper",
        )
    ),
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
)


def _functions(module):
    """Dotted names of the functions that a module of scikit-learn offers."""
    found = [getattr(module, name) for name in module.__all__]
    return [f"{f.__module__}.{f.__name__}" for f in found if isfunction(f)]


# Functions that parameters are made of (`scoring=`, `score_func=`): named, not called.
TRUSTED = (*OWN, *SKLEARN, *_functions(metrics), *_functions(feature_selection))
