"""`RetrievalDisplay`: the sheet against what kneighbors returns."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import AxesImage
from matplotlib.text import Text
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer

from skmeta import CCAMapper, CrossModalRetriever
from skmeta.datasets import make_paired_views
from skmeta.plotting import RetrievalDisplay


@pytest.fixture(scope="module")
def pairs():
    return make_paired_views(200, n_features=(5, 4), random_state=0).views


@pytest.fixture(scope="module")
def retriever(pairs):
    fitted = CrossModalRetriever(CCAMapper(2)).fit(pairs[:150])
    return fitted.set_gallery(pairs["view1"][150:], ids=np.arange(150, 200))


TEXTS = [f"text {i}" for i in range(150, 200)]
QUERIES = [150, 163, 199]


def draw(retriever, pairs, **options):
    options = {"gallery_items": TEXTS} | options
    rows = pairs["view0"][QUERIES]
    return RetrievalDisplay.from_estimator(retriever, rows, **options)


def test_hits_and_distances_are_those_of_kneighbors(retriever, pairs):
    display = draw(retriever, pairs, n_hits=4)
    distances, ids = retriever.kneighbors(pairs["view0"][QUERIES], n_neighbors=4)
    shown = [[artist.get_text() for artist in row] for row in display.hit_artists_]
    assert shown == [[f"text {i}" for i in row] for row in ids]
    written = [float(text.get_text()) for text in display.texts_]
    np.testing.assert_allclose(written, distances.ravel(), atol=0.00501)
    assert draw(retriever, pairs, scores=False).texts_ == []


def test_right_hits_have_frame_and_tick(retriever, pairs):
    display = draw(retriever, pairs, n_hits=20, correct=QUERIES)
    _, ids = retriever.kneighbors(pairs["view0"][QUERIES], n_neighbors=50)
    right = ids == np.array(QUERIES)[:, None]
    thick = [[frame.get_linewidth() > 2 for frame in row] for row in display.frames_]
    np.testing.assert_array_equal(thick, right[:, :20])
    assert len(display.ticks_) == right[:, :20].sum()
    np.testing.assert_array_equal(display.ranks, 1 + right.argmax(axis=1))


def test_a_tick_lies_in_the_corner_of_its_frame(retriever, pairs):
    display = draw(retriever, pairs, n_hits=50, correct=QUERIES)
    frames = [f for row in display.frames_ for f in row if f.get_linewidth() > 2]
    for frame, tick in zip(frames, display.ticks_, strict=True):
        x, y = tick.get_xdata().mean(), tick.get_ydata().mean()
        assert frame.get_x() + 0.7 < x < frame.get_x() + 1
        assert frame.get_y() < y < frame.get_y() + 0.2


def test_the_place_of_a_right_answer_that_is_not_shown(retriever, pairs):
    display = draw(retriever, pairs, n_hits=1, correct=QUERIES)
    said = {text.get_text() for text in display.ax_.texts}
    for rank in display.ranks:
        note = f"right: place {rank} of 50"
        assert (note in said) == (rank > 1)


def test_several_ids_may_be_right(retriever, pairs):
    correct = [set(range(150, 175))] * 3
    display = draw(retriever, pairs, correct=correct)
    _, ids = retriever.kneighbors(pairs["view0"][QUERIES], n_neighbors=5)
    np.testing.assert_array_equal(display.correct, ids < 175)


def test_images_are_drawn_as_they_are(retriever, pairs):
    images = np.random.default_rng(0).uniform(size=(50, 6, 4, 3))
    display = draw(
        retriever, pairs, gallery_items=images, query_items=images[:3], n_hits=2
    )
    _, ids = retriever.kneighbors(pairs["view0"][QUERIES], n_neighbors=2)
    for row, found in zip(display.hit_artists_, ids, strict=True):
        for artist, i in zip(row, found, strict=True):
            assert isinstance(artist, AxesImage)
            np.testing.assert_array_equal(artist.get_array(), images[i - 150])
            left, right, bottom, top = artist.get_extent()
            assert (right - left) / (bottom - top) == pytest.approx(4 / 6)


def test_grey_images_share_their_limits(retriever, pairs):
    images = np.arange(50 * 4).reshape(50, 2, 2) / 7
    display = draw(retriever, pairs, gallery_items=images, cmap="gray_r")
    limits = {a.get_clim() for row in display.hit_artists_ for a in row}
    shown = np.array([a.get_array() for row in display.hit_artists_ for a in row])
    assert limits == {(shown.min(), shown.max())}


def test_curves_fill_their_cell(retriever, pairs):
    curves = np.random.default_rng(0).normal(size=(3, 30))
    display = draw(retriever, pairs, query_items=curves)
    for artist, curve in zip(display.query_artists_, curves, strict=True):
        y = artist.get_paths()[0].vertices[:, 1]
        edge = {round(float(v), 6) for v in y}
        assert len(edge) >= len(set(curve.round(6)))


def test_items_by_id(retriever, pairs):
    items = {i: f"number {i}" for i in range(150, 200)}
    display = draw(retriever, pairs, gallery_items=items)
    _, ids = retriever.kneighbors(pairs["view0"][QUERIES], n_neighbors=5)
    assert display.hits[0] == [f"number {i}" for i in ids[0]]


def test_long_texts_stay_in_their_cell(retriever, pairs):
    long = [" ".join(["many words"] * 30) + "." for _ in range(50)]
    display = draw(retriever, pairs, gallery_items=long, query_items=long[:3])
    display.figure_.draw_without_rendering()
    for row, frames in zip(display.hit_artists_, display.frames_, strict=True):
        for text, frame in zip(row, frames, strict=True):
            inner, outer = text.get_window_extent(), frame.get_window_extent()
            assert outer.x0 <= inner.x0 and inner.x1 <= outer.x1
            assert outer.y0 <= inner.y0 and inner.y1 <= outer.y1
            assert text.get_text().endswith("…")


def test_a_dollar_is_no_formula(retriever, pairs):
    display = draw(retriever, pairs, query_items=["$5", "$6$", "a_b $"])
    display.figure_.draw_without_rendering()
    assert all(isinstance(artist, Text) for artist in display.query_artists_)


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"n_hits": 0}, ValueError, "n_hits must be an integer of at least 1"),
        ({"n_hits": 51}, ValueError, "n_neighbors <= 50"),
        ({"gallery_items": TEXTS[:3]}, ValueError, "has 3 entries, but the gallery"),
        ({"gallery_items": {}}, ValueError, "gallery_items has nothing for id 1"),
        ({"gallery_items": "abc"}, ValueError, "gallery_items has 3 entries"),
        ({"gallery_items": [{}] * 50}, TypeError, "is a dict of shape"),
        ({"query_items": ["one"]}, ValueError, "query_items has 1 entries, but 3"),
        ({"query_items": "one"}, TypeError, "single string; pass a list of one"),
        ({"query_items": np.zeros((3, 4, 4, 2))}, ValueError, "has 2 channels"),
        ({"query_items": np.full((3, 4, 4), np.nan)}, ValueError, "has NaN"),
        (
            {"query_items": np.full((3, 4, 4, 3), 7.5)},
            ValueError,
            "colours of dtype float64 lie between 0 and 1",
        ),
        ({"correct": [150]}, ValueError, "correct has 1 entries, but there are 3"),
        ({"correct": [150, 3, 151]}, ValueError, r"correct\[1\] is \[3\], of which"),
    ],
)
def test_bad_input(retriever, pairs, options, kind, message):
    with pytest.raises(kind, match=message):
        draw(retriever, pairs, **options)


def test_a_retriever_that_is_fitted(pairs):
    with pytest.raises(NotFittedError):
        draw(CrossModalRetriever(CCAMapper(2)), pairs)
    with pytest.raises(TypeError, match=r"got a CCAMapper. .*FrozenEstimator"):
        draw(CCAMapper(2).fit(pairs), pairs)


def test_too_many_queries(retriever, pairs):
    with pytest.raises(ValueError, match="200 queries are too many for one sheet"):
        RetrievalDisplay.from_estimator(retriever, pairs["view0"], gallery_items=TEXTS)


def test_small_distances_are_told_apart():
    distances = np.array([[0.0, 0.0041, 0.00012, 0.35, 12.345]])
    display = RetrievalDisplay(["q"], [list("abcde")], distances=distances).plot()
    written = [text.get_text() for text in display.texts_]
    assert written == ["0.00", "0.0041", "0.00012", "0.35", "12.35"]


@pytest.mark.parametrize("form", [list, np.array, pd.Series])
def test_queries_that_are_texts_are_shown(form):
    texts = [f"word{i % 7} other{i % 5}" for i in range(60)]
    table = pd.DataFrame({"text": texts, "a": np.arange(60) % 7})
    columns = ColumnTransformer(
        [("text", TfidfVectorizer(), "text"), ("number", "passthrough", ["a"])]
    )
    retriever = CrossModalRetriever(
        CCAMapper(1, views=columns), query="text", gallery="number"
    ).fit(table)
    display = RetrievalDisplay.from_estimator(
        retriever, form(texts[:2]), gallery_items=texts
    )
    assert display.queries == texts[:2]


def test_right_answers_may_be_arrays(retriever, pairs):
    several = [[i, 151] for i in QUERIES]
    a, b = (
        draw(retriever, pairs, correct=c).ranks
        for c in (several, list(map(np.array, several)))
    )
    np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match="an id, or a set of ids, for each query; got"):
        draw(retriever, pairs, correct=150)
