"""`LoadingsDisplay` and `CorrelationCircleDisplay`: correlations of columns."""

import numpy as np
import pytest

from skmeta import CCAMapper, NeuralSharedSpaceMapper, Views
from skmeta.plotting import CorrelationCircleDisplay, LoadingsDisplay


def correlation(fitted, column, view, component):
    """Of a column with the view's own coordinates, from the rows."""
    Z = fitted.mapper.transform_views(fitted.X, fitted.y)[view][:, component]
    array = fitted.arrays["view0" if view in "uX" else "view1"]
    return np.corrcoef(array[:, column], Z)[0, 1]


def test_bars_are_correlations_the_strongest_on_top(fitted):
    display = LoadingsDisplay.from_estimator(fitted.mapper, component=1, n_columns=3)
    ticks = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert tuple(display.bars_) == fitted.names
    for i, view in enumerate(fitted.names):
        (bars,) = display.bars_[view]
        width = 5 if view in "uX" else 4
        every = [correlation(fitted, j, view, 1) for j in range(width)]
        strongest = np.argsort(-np.abs(every))[:3]
        np.testing.assert_allclose(
            [bar.get_width() for bar in bars], np.array(every)[strongest]
        )
        places = [bar.get_y() for bar in bars]
        assert places == sorted(places)
        names = ticks[3 * i : 3 * i + 3]
        assert [_place(name) for name in names] == strongest.tolist()
    assert display.ax_.yaxis_inverted()


def _place(name):
    """The column of a view that a label means."""
    if name.endswith("]"):
        return int(name[2:-1])
    return "abcde".index(name) if name in "abcde" else "fghi".index(name)


def test_several_components_side_by_side(simple):
    display = LoadingsDisplay.from_estimator(simple.mapper, component=(2, 0))
    loadings = simple.mapper.loadings_["v"][:, [2, 0]]
    order = np.argsort(-np.abs(loadings).max(axis=1))
    for j, bars in enumerate(display.bars_["v"]):
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_array_equal(widths, loadings[order, j])
    first, second = (bars[0].get_hatch() for bars in display.bars_["v"])
    assert first != second
    assert display.ax_.get_legend() is not None


def test_given_names_and_a_choice_of_views(simple):
    names = {"v": ["one", "two", "three", "four"]}
    display = LoadingsDisplay.from_estimator(
        simple.mapper, views="v", feature_names=names
    )
    shown = {label.get_text() for label in display.ax_.get_yticklabels()}
    assert shown == set(names["v"])


def test_the_head_says_of_how_many(simple):
    display = LoadingsDisplay.from_estimator(simple.mapper, n_columns=4)
    heads = {text.get_text() for text in display.ax_.texts}
    assert heads == {"u, 4 of 5 columns", "v"}


def test_circle_points_are_loadings(fitted):
    display = CorrelationCircleDisplay.from_estimator(
        fitted.mapper, components=(1, 2), n_labels=4
    )
    for view in fitted.names:
        points = display.points_[view].get_offsets()
        for j, point in enumerate(points):
            expected = [correlation(fitted, j, view, c) for c in (1, 2)]
            np.testing.assert_allclose(point, expected, atol=1e-10)
    every = np.concatenate([p.get_offsets() for p in display.points_.values()])
    radii = np.sort(np.hypot(*every.T))[::-1]
    named = [np.hypot(*text.xy) for text in display.texts_]
    np.testing.assert_allclose(named, radii[:4])


def test_labels_do_not_overlap():
    # Twenty columns that all but coincide.
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(300, 2))
    X = np.repeat(factor, 10, axis=1) + 0.05 * rng.normal(size=(300, 20))
    Y = factor + rng.normal(size=(300, 2))
    mapper = CCAMapper(2).fit(Views(many=X, few=Y))
    display = CorrelationCircleDisplay.from_estimator(mapper, n_labels=22)
    display.figure_.draw_without_rendering()
    boxes = [_text_box(text) for text in display.texts_]
    overlaps = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert overlaps == 0
    frame = display.ax_.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def _text_box(annotation):
    """The box of the words, without the line to their point."""
    from matplotlib.text import Text

    return Text.get_window_extent(annotation)


def test_names_are_by_view(simple):
    with pytest.raises(TypeError, match=r"dict of view to names, of \['u', 'v'\]; got"):
        LoadingsDisplay.from_estimator(simple.mapper, feature_names=list("abcde"))


@pytest.mark.parametrize("display", [LoadingsDisplay, CorrelationCircleDisplay])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"views": ["text"]}, "Unknown view 'text'; the views are"),
        ({"feature_names": {"w": ["a"]}}, "Unknown view 'w'; the views are"),
        (
            {"feature_names": {"v": ["a", "b"]}},
            r"feature_names\['v'\] has 2 names, but the view has 4 columns",
        ),
    ],
)
def test_bad_names(simple, display, options, message):
    with pytest.raises(ValueError, match=message):
        display.from_estimator(simple.mapper, **options)


def test_bad_components(simple):
    with pytest.raises(ValueError, match="Component 7 is out of range"):
        LoadingsDisplay.from_estimator(simple.mapper, component=7)
    with pytest.raises(ValueError, match="Component -1 is out of range"):
        LoadingsDisplay.from_estimator(simple.mapper, component=-1)
    with pytest.raises(ValueError, match="n_columns must be an integer"):
        LoadingsDisplay.from_estimator(simple.mapper, n_columns=0)
    with pytest.raises(ValueError, match="n_labels must be an integer"):
        CorrelationCircleDisplay.from_estimator(simple.mapper, n_labels=-1)
    with pytest.raises(ValueError, match="components must be 2 integers"):
        CorrelationCircleDisplay.from_estimator(simple.mapper, components=(0, 1, 2))


def test_five_components_are_too_many():
    rng = np.random.default_rng(0)
    mapper = CCAMapper(5).fit(rng.normal(size=(50, 5)), rng.normal(size=(50, 6)))
    with pytest.raises(ValueError, match="5 components are too many to be told apart"):
        LoadingsDisplay.from_estimator(mapper, component=range(5))


def test_a_mapper_without_loadings_is_told_of(simple):
    pytest.importorskip("torch")
    mapper = NeuralSharedSpaceMapper(2, max_iter=1, random_state=0, loss="cca")
    with pytest.warns():
        mapper.fit(simple.X)
    assert not hasattr(mapper, "loadings_")
    with pytest.raises(TypeError, match="needs 'loadings_'.*as CCAMapper has it"):
        LoadingsDisplay.from_estimator(mapper)


def test_an_empty_name_of_a_formula_is_no_formula(simple):
    names = {"v": ["$x", "a_b", "c^d", "e$"]}
    display = LoadingsDisplay.from_estimator(simple.mapper, feature_names=names)
    display.figure_.draw_without_rendering()
