"""`CrossViewHeatmapDisplay`: cells against similarities and correlations of rows."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.plotting import CrossViewHeatmapDisplay


def test_cells_are_cosines_of_rows(fitted):
    display = CrossViewHeatmapDisplay.from_estimator(fitted.mapper, fitted.X, fitted.y)
    first, second = fitted.mapper.transform_views(fitted.X, fitted.y).values()
    np.testing.assert_allclose(
        display.image_.get_array(), cosine_similarity(first, second), atol=1e-12
    )
    assert (display.ax_.get_ylabel(), display.ax_.get_xlabel()) == fitted.names


def test_with_labels_cells_are_means_over_pairs_of_classes(simple):
    labels = np.array(["b", "a", "c"])[np.arange(120) % 3]
    display = CrossViewHeatmapDisplay.from_estimator(
        simple.mapper, simple.X, labels=labels
    )
    Z = simple.mapper.transform_views(simple.X)
    every = cosine_similarity(Z["u"], Z["v"])
    for i, a in enumerate("abc"):
        for j, b in enumerate("abc"):
            expected = every[np.ix_(labels == a, labels == b)].mean()
            assert display.image_.get_array()[i, j] == pytest.approx(expected)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["a", "b", "c"]
    written = [float(text.get_text()) for text in display.texts_]
    np.testing.assert_allclose(written, display.values.ravel(), atol=0.00501)


def test_the_views_can_be_turned_round(simple):
    display = CrossViewHeatmapDisplay.from_estimator(
        simple.mapper, simple.X, views=("v", "u"), max_rows=10
    )
    Z = simple.mapper.transform_views(simple.X)
    rows = np.linspace(0, 119, 10).round().astype(int)
    expected = cosine_similarity(Z["v"][rows], Z["u"][rows])
    np.testing.assert_allclose(display.values, expected, atol=1e-12)


def test_rows_that_lack_a_view_are_left_out(simple):
    X = np.array(simple.X["u"])
    X[0] = np.nan
    rows = Views(u=X, v=simple.X["v"])
    display = CrossViewHeatmapDisplay.from_estimator(simple.mapper, rows)
    assert display.values.shape == (119, 119)


def test_all_components_give_the_correlations_of_the_columns():
    views = make_paired_views(200, n_features=(4, 6), random_state=0).views
    X, Y = views.values()
    display = CrossViewHeatmapDisplay.from_columns(CCAMapper(4, shrinkage=0).fit(X, Y))
    expected = np.corrcoef(X.T, Y.T)[:4, 4:]
    np.testing.assert_allclose(display.image_.get_array(), expected, atol=1e-10)


def test_fewer_components_are_regressions_on_scores(simple):
    mapper, X, Y = simple.mapper, *simple.X.values()
    display = CrossViewHeatmapDisplay.from_columns(mapper)
    Z = mapper.transform_views(simple.X)
    centred = [z - z.mean(axis=0) for z in Z.values()]
    fitted = [
        z @ np.linalg.lstsq(z, a - a.mean(axis=0), rcond=None)[0]
        for z, a in zip(centred, (X, Y), strict=True)
    ]
    expected = fitted[0].T @ fitted[1] / len(X) / np.outer(X.std(0), Y.std(0))
    np.testing.assert_allclose(display.values, expected, atol=1e-10)


def test_the_strongest_columns_are_kept_in_their_order(simple):
    every = CrossViewHeatmapDisplay.from_columns(simple.mapper)
    some = CrossViewHeatmapDisplay.from_columns(simple.mapper, n_columns=2)
    strength = np.abs(every.values)
    rows = np.sort(np.argsort(-strength.max(axis=1))[:2])
    columns = np.sort(np.argsort(-strength.max(axis=0))[:2])
    np.testing.assert_array_equal(some.values, every.values[np.ix_(rows, columns)])
    assert some.row_names == [f"u[{j}]" for j in rows]


def test_relations_of_three_views():
    views = make_paired_views(200, n_features=(5, 4, 6), random_state=0).views
    mapper = CCAMapper(2).fit(views)
    display = CrossViewHeatmapDisplay.from_relations(mapper)
    for i, a in enumerate(views):
        for j, b in enumerate(views):
            assert display.values[i, j] == mapper.view_relations_[a][b]


def test_numbers_lose_no_digit():
    display = CrossViewHeatmapDisplay([[10.04, -0.5], [-0.001, 0.25]]).plot()
    assert [t.get_text() for t in display.texts_] == ["10.04", "-.50", ".00", ".25"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"views": ("u", "w")}, "Unknown view 'w'"),
        ({"views": ("u",)}, "2 views are drawn, but there are 1"),
        ({"views": ("u", "u")}, "Each view is named once"),
        ({"labels": [1, 2]}, r"labels has shape \(2,\), but there are 120 rows"),
        ({"max_rows": 2.5}, "max_rows must be an integer"),
    ],
)
def test_bad_input(simple, options, message):
    with pytest.raises(ValueError, match=message):
        CrossViewHeatmapDisplay.from_estimator(simple.mapper, simple.X, **options)


def test_a_class_without_a_view_is_named(simple):
    X = np.array(simple.X["u"])
    X[::3] = np.nan
    views = Views(u=X, v=simple.X["v"])
    with pytest.raises(ValueError, match="No row of class '0' has the view 'u'; leave"):
        CrossViewHeatmapDisplay.from_estimator(
            simple.mapper, views, labels=np.arange(120) % 3
        )


def test_one_view_alone_is_told_of(simple):
    mapper = CCAMapper(2).fit(*simple.X.values())
    with pytest.raises(ValueError, match="After fit.X, Y. of two arrays pass both"):
        CrossViewHeatmapDisplay.from_estimator(mapper, simple.X["u"])


def test_values_are_finite():
    with pytest.raises(ValueError, match="values has NaN"):
        CrossViewHeatmapDisplay([[np.nan]]).plot()


def test_what_the_values_are_fits_beside_few_rows(simple):
    display = CrossViewHeatmapDisplay.from_columns(simple.mapper, n_columns=3)
    display.figure_.draw_without_rendering()
    label = display.colorbar_.ax.yaxis.label
    assert label.get_text().split() == "correlation through the shared space".split()
    extent, whole = label.get_window_extent(), display.figure_.bbox
    assert whole.y0 <= extent.y0 and extent.y1 <= whole.y1
