"""What it costs to adapt to new classes and to answer, beside plain classifiers.

``pytest tests/benchmarks/test_adapt_speed.py`` prints one table. Each contestant learns
5 rows of each of 5 classes, at 64 columns, and answers 75 queries, 200 times in a
repetition. Repetitions are interleaved and the fastest of each counts. What is asserted
is that prototypes answer as scikit-learn's nearest centroid does, and that episodes are
as many as they should be.
"""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from skmeta import MetricFewShotClassifier
from skmeta.core.episodes import draw_episodes, pool_of
from skmeta.core.heads import HEADS
from skmeta.datasets import make_few_shot_tasks

pytestmark = pytest.mark.usefixtures("one_thread")

LEGEND = """\
One thread. Seconds are of learning 5 x 5 rows of 64 columns and answering 75 queries.
wanted: the goal, which fails no test."""

N_TIMES = 200


def test_adapt_and_predict(benchmark, race, table):
    made = make_few_shot_tasks(60, 20, n_features=64, random_state=0)
    seen = made.y < 40
    place = np.arange(20)[None] + 20 * np.arange(40, 45)[:, None]
    support, query = place[:, :5].ravel(), place[:, 5:].ravel()
    X, y = made.X[support], made.y[support]
    Q = made.X[query]

    def repeated(answer):
        def times():
            for _ in range(N_TIMES - 1):
                answer()
            return answer()

        return times

    def of(head):
        learner = MetricFewShotClassifier(head, encoder="identity", random_state=0)
        learner.fit(made.X[seen], made.y[seen])
        return repeated(lambda: learner.adapt(X, y).predict(Q))

    contestants = {head: of(head) for head in HEADS if not HEADS[head].needs_training}
    contestants["NearestCentroid"] = repeated(
        lambda: NearestCentroid().fit(X, y).predict(Q)
    )
    contestants["LogisticRegression"] = repeated(
        lambda: LogisticRegression().fit(X, y).predict(Q)
    )
    race.run(benchmark, contestants, 6)
    assert np.array_equal(race.results["prototype"], race.results["NearestCentroid"])
    table.section("adapting and answering")
    base = race.best("NearestCentroid") / N_TIMES
    for name in contestants:
        seconds = race.best(name) / N_TIMES
        over = f"{1000 * (seconds - base):+.2f} ms over NearestCentroid"
        table.add(name, seconds, {}, wanted=over + ", <= 1" * (name == "prototype"))


def test_drawing(benchmark, race, table):
    pool = pool_of(np.random.default_rng(0).integers(1000, size=10**5))

    def draw():
        return draw_episodes(pool, 1000, 5, 5, 15, np.random.default_rng(0))

    race.run(benchmark, {"draw": draw}, 20)
    assert race.results["draw"].support.shape == (1000, 5, 5)
    table.section("drawing 1,000 episodes of 5 ways and 5 shots, 15 queries a class")
    table.add(
        "from 1e5 rows, 1,000 classes", race.best("draw"), {}, wanted="milliseconds"
    )
