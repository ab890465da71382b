"""`AdaptationCurveDisplay`: the curve against episodes scored one size at a time."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta import MAMLFewShotClassifier, MAMLFewShotRegressor, MetricFewShotClassifier
from skmeta.datasets import make_few_shot_tasks, make_sinusoid_tasks
from skmeta.metrics import EpisodicScorer
from skmeta.plotting import AdaptationCurveDisplay

MADE = make_few_shot_tasks(30, 12, random_state=0)
SEEN = MADE.y < 20
X_NEW, Y_NEW = MADE.X[~SEEN], MADE.y[~SEEN]
FEW = {"n_way": 3, "n_query": 4, "n_episodes": 20}
draw = AdaptationCurveDisplay.from_estimator


@pytest.fixture(scope="module")
def learner():
    steps = StandardScaler(), MetricFewShotClassifier(encoder="unit", random_state=0)
    return make_pipeline(*steps).fit(MADE.X[SEEN], MADE.y[SEEN])


@pytest.fixture(scope="module")
def stepping():
    pytest.importorskip("torch")
    learner = MAMLFewShotClassifier(max_iter=5, random_state=0)
    return learner.fit(MADE.X[SEEN], MADE.y[SEEN])


def test_the_curve_is_of_the_scorers_episodes(learner):
    display = draw(learner, X_NEW, Y_NEW, k_shot=(5, 1), random_state=3, **FEW)
    assert display.sizes.tolist() == [1, 5]
    for k, scores in zip((1, 5), display.scores, strict=True):
        scorer = EpisodicScorer(k_shot=k, random_state=3, **FEW)
        found = scorer.evaluate(learner, X_NEW, Y_NEW)
        np.testing.assert_array_equal(scores, found.scores)
        at = display.line_.get_xdata() == k
        np.testing.assert_allclose(display.line_.get_ydata()[at], found.mean)
        band = display.band_.get_paths()[0].vertices
        sides = band[np.isclose(band[:, 0], k)][:, 1]
        np.testing.assert_allclose([sides.min(), sides.max()], found.interval, 1e-5)
    assert display.name == "MetricFewShotClassifier"
    assert display.ax_.get_xscale() == "log"


def test_others_stand_beside_it(learner):
    first = draw(learner, X_NEW, Y_NEW, k_shot=(1, 4), **FEW)
    second = draw(
        LogisticRegression(), X_NEW, Y_NEW, k_shot=(1, 2, 4), ax=first.ax_, **FEW
    )
    assert second.ax_ is first.ax_
    assert first.line_.get_marker() != second.line_.get_marker()
    assert first.line_.get_linestyle() != second.line_.get_linestyle()
    ticks = [text.get_text() for text in first.ax_.get_xticklabels()]
    assert sorted(ticks) == ["1", "2", "4"]
    names = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert names == ["MetricFewShotClassifier", "LogisticRegression"]


def test_against_steps(stepping, tmp_path):
    before = stepping.get_params()
    display = draw(stepping, X_NEW, Y_NEW, k_shot=4, n_steps=(0, 3), **FEW)
    assert stepping.get_params() == before
    one = EpisodicScorer(k_shot=4, **FEW)
    found = one.evaluate(stepping, X_NEW, Y_NEW)  # three steps are the default
    np.testing.assert_array_equal(display.scores[1], found.scores)
    none = one.evaluate(stepping, X_NEW, Y_NEW, n_steps=0)
    np.testing.assert_array_equal(display.scores[0], none.scores)
    assert not np.array_equal(display.scores[0], found.scores)
    assert display.ax_.get_xlabel() == "inner steps"
    piped = make_pipeline(StandardScaler().fit(MADE.X), stepping)
    draw(piped, X_NEW, Y_NEW, k_shot=4, n_steps=(0, 3), ax=display.ax_, **FEW)
    display.figure_.savefig(tmp_path / "picture.png")


def test_a_regressor_by_task():
    waves = make_sinusoid_tasks(20, 15, random_state=0)
    display = draw(
        Ridge(), waves.X, waves.y, task=waves.task, k_shot=(2, 8), n_episodes=10
    )
    assert (display.scores < 0).all()
    assert "new tasks" in display.ax_.get_ylabel()


def test_what_is_no_curve(learner, stepping):
    with pytest.raises(TypeError, match="k_shot must be a sequence of integers"):
        draw(learner, X_NEW, Y_NEW, k_shot=5)
    with pytest.raises(ValueError, match="k_shot must be an integer of at least 1"):
        draw(learner, X_NEW, Y_NEW, k_shot=(0, 5))
    with pytest.raises(ValueError, match="MetricFewShotClassifier has no inner loop"):
        draw(learner, X_NEW, Y_NEW, k_shot=5, n_steps=(1, 2))
    with pytest.raises(ValueError, match="k_shot must be an integer"):
        draw(stepping, X_NEW, Y_NEW, n_steps=(1, 2))
    plain = LogisticRegression()
    with pytest.raises(ValueError, match="LogisticRegression has no inner loop"):
        draw(plain, X_NEW, Y_NEW, k_shot=5, n_steps=(1, 2))
    ridge = MAMLFewShotRegressor(algorithm="ridge", max_iter=1, random_state=0)
    ridge.fit(X_NEW, X_NEW[:, 0])
    with pytest.raises(ValueError, match="algorithm='ridge' has no inner loop"):
        draw(ridge, X_NEW, X_NEW[:, 0], k_shot=5, n_steps=(1, 2))
