"""`SharedSpaceDisplay`: points are coordinates, lines join partners."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skmeta import CCAMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.plotting import SharedSpaceDisplay


def draw(fitted, **options):
    return SharedSpaceDisplay.from_estimator(
        fitted.mapper, fitted.X, fitted.y, **options
    )


def test_points_are_the_coordinates_of_each_view(fitted):
    display = draw(fitted, components=(2, 0))
    Z = fitted.mapper.transform_views(fitted.X, fitted.y)
    assert tuple(display.points_) == fitted.names
    for name, points in display.points_.items():
        np.testing.assert_array_equal(points.get_offsets(), Z[name][:, [2, 0]])
    assert display.ax_.get_xlabel() == "component 2"
    assert display.ax_.get_ylabel() == "component 0"


def test_lines_run_from_partner_to_partner(simple):
    display = draw(simple)
    Z = np.stack(list(simple.mapper.transform_views(simple.X).values()), axis=1)
    segments = np.array(display.lines_.get_segments()).reshape(-1, 2, 2, 2)
    for row, halves in zip(Z[:, :, :2], segments, strict=True):
        np.testing.assert_allclose(halves[:, 0], row)
        np.testing.assert_allclose(halves[:, 1], np.tile(row.mean(axis=0), (2, 1)))
    assert draw(simple, lines=False).lines_ is None


def test_a_row_without_one_view_has_no_line_and_no_point_there(simple):
    X = np.array(simple.X["u"])
    X[3] = np.nan
    simple.X = Views(u=X, v=simple.X["v"])
    display = draw(simple)
    assert len(display.lines_.get_segments()) == 2 * 119
    assert np.ma.getmaskarray(display.points_["u"].get_offsets())[3].all()


def test_three_views_meet_in_their_middle():
    views = make_paired_views(40, n_features=(5, 4, 6), random_state=0).views
    display = SharedSpaceDisplay.from_estimator(CCAMapper(2).fit(views), views)
    assert len(display.lines_.get_segments()) == 3 * 40
    some = SharedSpaceDisplay.from_estimator(
        CCAMapper(2).fit(views), views, views=["view2", "view0"]
    )
    assert list(some.points_) == ["view2", "view0"]


def test_many_rows_are_thinned_evenly(simple):
    labels = np.arange(120) // 60
    display = draw(simple, max_rows=4, labels=labels)
    Z = simple.mapper.transform_views(simple.X)["u"]
    rows = [0, 40, 79, 119]
    np.testing.assert_array_equal(display.coordinates["u"], Z[rows, :2])
    np.testing.assert_array_equal(display.labels, labels[rows])


def test_labels_choose_the_colour_and_are_written_out(simple):
    labels = np.where(np.arange(120) % 3 == 0, "third", "other")
    display = draw(simple, labels=labels)
    Z = simple.mapper.transform_views(simple.X)
    expected = [(v, c) for v in simple.names for c in ("other", "third")]
    for points, (view, label) in zip(display.points_, expected, strict=True):
        np.testing.assert_array_equal(
            points.get_offsets(), Z[view][labels == label][:, :2]
        )
    assert [text.get_text() for text in display.texts_] == ["other", "third"]
    for text, points in zip(display.texts_, display.points_[:2], strict=True):
        assert to_hex(text.get_color()) == to_hex(points.get_edgecolors()[0])


def test_a_class_without_the_view_that_is_drawn_has_no_name(simple):
    labels, X = np.arange(120) % 3, np.array(simple.X["u"])
    X[labels == 1] = np.nan
    simple.X = Views(u=X, v=simple.X["v"])
    display = draw(simple, labels=labels, views=["u"])  # warns of nothing
    assert [text.get_text() for text in display.texts_] == ["0", "2"]
    for text, points in zip(display.texts_, display.points_[::2], strict=True):
        assert to_hex(text.get_color()) == to_hex(points.get_edgecolors()[0])


def test_views_differ_in_shape_and_filling_too(simple):
    first, second = draw(simple).points_.values()
    assert not np.array_equal(
        first.get_paths()[0].vertices, second.get_paths()[0].vertices
    )
    assert to_hex(second.get_facecolor()[0]) == "#ffffff"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"components": (0, 3)}, "Component 3 is out of range.*has 3, numbered 0 to 2"),
        ({"components": (0,)}, "components must be 2 integers"),
        ({"components": (1, 1)}, "components must differ"),
        ({"views": []}, "No view is named to be drawn; the views are .'u', 'v'."),
        ({"views": ["w"]}, "Unknown view 'w'; the views are .'u', 'v'."),
        ({"max_rows": 0}, "max_rows must be an integer of at least 1; got 0"),
        ({"labels": np.zeros(5)}, r"labels has shape \(5,\), but there are 120 rows"),
        ({"labels": np.arange(120)}, "labels has 120 classes, and at most 7"),
        ({"labels": np.full(120, np.nan)}, "labels has no label for row 0"),
        ({"labels": np.full(120, "NaT", "M8[D]")}, "labels has no label for row 0"),
        ({"labels": ["a", np.nan] * 60}, "labels has no label for row 1"),
        ({"labels": pd.array(["a", pd.NA] * 60)}, "labels has no label for row 1"),
        ({"labels": np.array(["a", 1] * 60, object)}, r"types \['int', 'str'\]"),
    ],
)
def test_bad_input(simple, options, message):
    with pytest.raises(ValueError, match=message):
        draw(simple, **options)


def test_one_component_cannot_be_drawn_in_two(simple):
    simple.mapper = CCAMapper(1).fit(simple.X)
    with pytest.raises(ValueError, match="Component 1 is out of range: the mapper has"):
        draw(simple)
    with pytest.raises(TypeError, match="Components are integers"):
        draw(simple, components=(0, 1.5))
