"""`SearchSurfaceDisplay`: lines and cells against cv_results_."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from skmeta import CCAMapper, CCAMapperCV
from skmeta.datasets import make_paired_views
from skmeta.metrics import RetrievalScorer
from skmeta.plotting import SearchSurfaceDisplay

GRID = {"shrinkage": [1, 0.01, 0.1], "correlation_power": [0, 2]}


def searched(grid=None, **options):
    views = make_paired_views(120, n_features=(5, 4), random_state=0).views
    scoring = options.pop("scoring", RetrievalScorer(k=3))
    search = GridSearchCV(CCAMapper(2), grid or GRID, cv=3, scoring=scoring, **options)
    return search.fit(views)


@pytest.fixture(scope="module")
def search():
    return searched()


def scores(search, **wanted):
    """Mean and standard error of each candidate of these parameters, from its folds."""
    results = search.cv_results_
    folds = np.array([results[f"split{i}_test_score"] for i in range(3)])
    chosen = [
        all(p[name] == value for name, value in wanted.items())
        for p in results["params"]
    ]
    folds = folds[:, chosen]
    # Nadeau & Bengio: training sets overlap, 1 / K is 1 / K + 1 / (K - 1).
    error = folds.std(axis=0, ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    return folds.mean(axis=0), error


def test_cells_are_mean_scores(search):
    display = SearchSurfaceDisplay.from_search(search, "shrinkage", "correlation_power")
    cells = display.image_.get_array()
    assert display.x == [0.01, 0.1, 1]  # in order, whatever the grid's
    for i, power in enumerate(display.y):
        for j, c in enumerate(display.x):
            mean, _ = scores(search, shrinkage=c, correlation_power=power)
            assert cells[i, j] == pytest.approx(mean[0])
    ((x, y),) = display.best_.get_xydata()
    assert display.x[round(x)] == search.best_params_["shrinkage"]
    assert display.y[round(y)] == search.best_params_["correlation_power"]


def test_a_curve_is_the_best_over_the_others_with_its_error(search):
    display = SearchSurfaceDisplay.from_search(search, "shrinkage")
    band = display.band_.get_paths()[0].vertices
    for c, drawn in display.line_.get_xydata():
        mean, error = scores(search, shrinkage=c)
        best = np.argmax(mean)
        assert drawn == pytest.approx(mean[best])
        sides = band[np.isclose(band[:, 0], c)][:, 1]
        assert sides.max() == pytest.approx(mean[best] + error[best])
        assert sides.min() == pytest.approx(mean[best] - error[best])
    assert display.ax_.get_xscale() == "log"
    ((x, y),) = display.best_.get_xydata()
    assert (x, y) == (
        search.best_params_["shrinkage"],
        pytest.approx(search.best_score_),
    )


def test_the_parameters_that_vary_are_found(search):
    display = SearchSurfaceDisplay.from_search(search)
    assert {display.x_name, display.y_name} == set(GRID)
    one = searched({"shrinkage": [0.1, 0.2, 0.3], "correlation_power": [1]})
    display = SearchSurfaceDisplay.from_search(one)
    assert (display.x_name, display.y_name) == ("shrinkage", None)
    assert display.ax_.get_xscale() == "linear"  # steps are even in sums


def test_what_is_no_number_stands_side_by_side():
    search = searched({"shrinkage": ["auto", 0.1, {"view0": 0.5}]})
    display = SearchSurfaceDisplay.from_search(search)
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["auto", "0.1", "{'view0': 0.5}"]
    np.testing.assert_array_equal(
        display.line_.get_ydata(), search.cv_results_["mean_test_score"]
    )


def test_the_path_of_the_mapper_that_tunes_itself():
    views = make_paired_views(120, n_features=(5, 4), random_state=0).views
    search = CCAMapperCV(shrinkages=[0.01, 0.1, 1], n_components=[1, 2, 3]).fit(views)
    display = SearchSurfaceDisplay.from_search(search, "n_components", "shrinkage")
    assert display.means.size == 9
    best = search.best_params_
    i, j = display.best
    assert (display.y[i], display.x[j]) == (best["shrinkage"], best["n_components"])


def test_a_random_search_is_points():
    views = make_paired_views(120, n_features=(5, 4), random_state=0).views
    search = RandomizedSearchCV(
        CCAMapper(2),
        {
            "shrinkage": np.geomspace(0.01, 1, 50),
            "correlation_power": np.linspace(0, 3, 50),
        },
        n_iter=8,
        cv=2,
        random_state=0,
    ).fit(views)
    display = SearchSurfaceDisplay.from_search(search, "shrinkage", "correlation_power")
    points = display.image_.get_offsets()
    values = display.image_.get_array()
    drawn = {
        tuple(np.round([*point, value], 9))
        for point, value in zip(points, values, strict=True)
    }
    results = search.cv_results_
    assert drawn == {
        tuple(np.round([p["shrinkage"], p["correlation_power"], s], 9))
        for p, s in zip(results["params"], results["mean_test_score"], strict=True)
    }


def test_grids_of_different_parameters():
    search = searched([{"shrinkage": [0.1, 0.2]}, {"correlation_power": [0, 1]}])
    display = SearchSurfaceDisplay.from_search(search, "shrinkage")
    assert display.x == [0.1, 0.2]
    np.testing.assert_array_equal(
        display.means, search.cv_results_["mean_test_score"][:2]
    )


def test_one_of_several_scores():
    scoring = {"recall": RetrievalScorer(k=3), "rank": RetrievalScorer(measure="mrr")}
    search = searched(scoring=scoring, refit=False)
    display = SearchSurfaceDisplay.from_search(search, "shrinkage", scoring="rank")
    assert display.ax_.get_ylabel() == "mean test rank"
    assert display.line_.get_ydata().max() == pytest.approx(
        search.cv_results_["mean_test_rank"].max()
    )
    with pytest.raises(ValueError, match="several scores, so name one"):
        SearchSurfaceDisplay.from_search(search, "shrinkage")


def test_anything_with_results_is_drawn():
    params = [{"shrinkage": c} for c in (0.1, 0.2, 0.4)]
    search = SimpleNamespace(
        cv_results_={
            "params": params,
            "param_shrinkage": [0.1, 0.2, 0.4],
            "mean_test_score": np.array([0.1, np.nan, 0.3]),
        },
        best_params_=params[0],  # not the highest: what the search has chosen
    )
    display = SearchSurfaceDisplay.from_search(search)
    np.testing.assert_array_equal(display.line_.get_xdata(), [0.1, 0.4])
    np.testing.assert_array_equal(display.best_.get_xydata(), [[0.1, 0.1]])
    assert display.best_.get_label() == "chosen"
    search.best_params_ = params[2]
    assert SearchSurfaceDisplay.from_search(search).best_.get_label() == "best"


def test_without_errors_and_best_there_is_no_legend():
    display = SearchSurfaceDisplay([1, 2], [0.1, 0.2]).plot()  # warns of nothing
    assert display.ax_.get_legend() is None


def test_values_are_told_apart_in_writing():
    x = [1000, np.int64(1001), 0.25, np.bool_(False), "a$b$", 10**8]
    display = SearchSurfaceDisplay(x, np.zeros((2, 6)), y=[1, 2]).plot()
    written = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert written == ["1000", "1001", "0.25", "False", r"a\$b\$", "1e+08"]


def test_bad_input(search):
    with pytest.raises(ValueError, match="Unknown parameter 'alpha'; the search has"):
        SearchSurfaceDisplay.from_search(search, "alpha")
    with pytest.raises(ValueError, match="x and y are both 'shrinkage'"):
        SearchSurfaceDisplay.from_search(search, "shrinkage", "shrinkage")
    with pytest.raises(ValueError, match="no 'f1': scoring= takes one of .'score'."):
        SearchSurfaceDisplay.from_search(search, scoring="f1")
    with pytest.raises(NotFittedError, match="This GridSearchCV has no cv_results_"):
        SearchSurfaceDisplay.from_search(GridSearchCV(CCAMapper(), GRID))
    with pytest.raises(TypeError, match="draws a fitted search.*got a int"):
        SearchSurfaceDisplay.from_search(3)
    three = searched(GRID | {"fusion": ["concat", "mean"]})
    with pytest.raises(ValueError, match="3 parameters of several values"):
        SearchSurfaceDisplay.from_search(three)
    with pytest.raises(ValueError, match="every mean is NaN"):
        SearchSurfaceDisplay([1, 2], [np.nan, np.nan]).plot()
