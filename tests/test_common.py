"""scikit-learn's own checks, every one, for every estimator."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmeta import (
    CCAMapper,
    CCAMapperCV,
    CrossModalRetriever,
    MAMLFewShotClassifier,
    MAMLFewShotRegressor,
    MetricFewShotClassifier,
    NeuralSharedSpaceMapper,
)

COLUMNS = ColumnTransformer(
    [("a", StandardScaler(), slice(0, 1)), ("b", "passthrough", slice(0, 2))]
)


NEURAL = NeuralSharedSpaceMapper(
    n_components=4, hidden_layer_sizes=(8,), dropout=0.0, max_iter=5, random_state=0
)
SUPERVISED = NeuralSharedSpaceMapper(
    n_components=4,
    views={"a": slice(0, 1), "b": slice(0, None)},
    hidden_layer_sizes=(16,),
    max_iter=20,
    learning_rate_init=0.03,
    dropout=0.0,
    early_stopping=False,
    random_state=0,
)


@parametrize_with_checks(
    [
        CCAMapper(),
        CCAMapper(shrinkage=0.5, correlation_power=0, standardize=False),
        CrossModalRetriever(CCAMapper()),
        CCAMapperCV([0.1, 0.5], n_components=[1, None], cv=3),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# Two classes a task: some checks have no more, of which the learners would warn.
def metric(head="prototype", **params):
    return MetricFewShotClassifier(head, n_way=2, random_state=0, **params)


SMALL = {"hidden_layer_sizes": (16,), "max_iter": 5, "random_state": 0}


@parametrize_with_checks([metric()])
def test_scikit_learn_checks_of_few_shot_learners(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [metric(head) for head in ("matching", "ridge", "simpleshot", "gaussian")]
)
def test_scikit_learn_checks_of_other_heads(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        metric("relation", max_iter=8, learning_rate_init=0.03),
        metric(encoder="mlp", hidden_layer_sizes=(8,), max_iter=3),
    ]
)
def test_scikit_learn_checks_of_trained_few_shot_learners(estimator, check):
    pytest.importorskip("torch")
    check(estimator)


@parametrize_with_checks(
    [
        MAMLFewShotClassifier(n_way=2, **SMALL),
        MAMLFewShotRegressor(algorithm="ridge", **SMALL),
    ]
)
def test_scikit_learn_checks_of_model_agnostic_learners(estimator, check):
    pytest.importorskip("torch")
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        MAMLFewShotRegressor(
            inner_lr=0.1, n_inner_steps=10, **(SMALL | {"max_iter": 100})
        )
    ]
)
def test_scikit_learn_checks_of_steps_to_numbers(estimator, check):
    pytest.importorskip("torch")
    check(estimator)


# Five passes are too few to converge.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        NEURAL,
        CrossModalRetriever(NEURAL),
    ]
)
def test_scikit_learn_checks_of_neural_mappers(estimator, check):
    pytest.importorskip("torch")
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        clone(SUPERVISED).set_params(loss="cross_entropy"),
        clone(SUPERVISED).set_params(loss="mse"),
    ]
)
def test_scikit_learn_checks_of_supervised_neural_mappers(estimator, check):
    pytest.importorskip("torch")
    check(estimator)


# Not among the above, but run by scikit-learn on its own estimators. Some of them fit
# on a frame and transform an array on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    "check",
    [
        "check_get_feature_names_out_error",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_global_set_output_transform_polars",
        "check_inplace_ensure_writeable",
        "check_param_validation",
        "check_dataframe_column_names_consistency",
        "check_n_features_in_after_fitting",
    ],
)
def test_scikit_learn_checks_of_its_own(check):
    from sklearn.utils import estimator_checks

    for mapper in (CCAMapper(), CCAMapperCV([0.1, 0.5], cv=3)):
        getattr(estimator_checks, check)(type(mapper).__name__, mapper)


def test_tags_say_when_y_is_needed():
    from sklearn.utils import get_tags

    assert get_tags(CCAMapper()).target_tags.required
    assert not get_tags(CCAMapper(views={"a": [0], "b": [1]})).target_tags.required
    assert np.isin(
        "float32", get_tags(CCAMapper()).transformer_tags.preserves_dtype
    ).all()
