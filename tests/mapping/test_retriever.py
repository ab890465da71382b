"""`CrossModalRetriever`: the right row is found, in every way of asking."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import NearestNeighbors

from skmeta import CCAMapper, CrossModalRetriever, Views
from skmeta.metrics import METRICS, recall_at_k


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((260, 4))
    return Views(
        image=z @ rng.standard_normal((4, 9)) + 0.5 * rng.standard_normal((260, 9)),
        text=z @ rng.standard_normal((4, 7)) + 0.5 * rng.standard_normal((260, 7)),
    )


@pytest.fixture
def retriever(views):
    return CrossModalRetriever(CCAMapper(4), query="text", gallery="image").fit(
        views[:200]
    )


def test_finds_the_image_for_a_text(views, retriever):
    new = views[200:]
    ids = [f"picture {i}" for i in range(60)]
    assert retriever.set_gallery(new["image"], ids=ids) is retriever
    distances, found = retriever.kneighbors(new["text"], n_neighbors=3)
    Z = retriever.mapper_.transform_views(new)
    similarity = cosine_similarity(Z["text"], Z["image"])
    order = np.argsort(-similarity, axis=1)[:, :3]
    assert_array_equal(found, np.array(ids)[order])
    assert_allclose(distances, 1 - np.take_along_axis(similarity, order, axis=1))
    assert np.mean(found[:, 0] == ids) > 10 / 60


def test_indexes_its_training_rows_until_another_gallery_is_set(views, retriever):
    _, found = retriever.kneighbors(views["text"][:5], n_neighbors=200)
    assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(200), (5, 1)))
    assert retriever.kneighbors(views["text"][:5])[1].shape == (5, 10)


@pytest.mark.parametrize("metric", [*sorted(METRICS), "callable"])
def test_score_is_recall_of_the_pairs(views, metric):
    name = (lambda a, b: np.abs(a - b).max()) if metric == "callable" else metric
    retriever = CrossModalRetriever(CCAMapper(4), metric=name, k=3).fit(views[:200])
    Z = retriever.mapper_.transform_views(views[200:])
    params = None
    if metric == "mahalanobis":
        from sklearn.covariance import OAS

        train = retriever.mapper_.transform_views(views[:200])
        difference = train["image"] - train["text"]
        params = {"VI": OAS(assume_centered=True).fit(difference).precision_}
    expected = recall_at_k(
        Z["image"], Z["text"], k=3, metric=name, metric_params=params
    )
    assert retriever.score(views[200:]) == expected > 3 / 60


def test_two_arrays(views):
    X, Y = views["image"], views["text"]
    pair = CrossModalRetriever(CCAMapper(4)).fit(X[:200], Y[:200])
    assert (pair.query_, pair.gallery_) == ("X", "Y")
    same = CrossModalRetriever(CCAMapper(4), query="image").fit(views[:200])
    for ours, theirs in zip(
        pair.kneighbors(X[200:]), same.kneighbors(X[200:]), strict=True
    ):
        assert_allclose(ours, theirs)
    assert pair.score(X[200:], Y[200:]) == same.score(views[200:])
    back = CrossModalRetriever(CCAMapper(4), query="Y").fit(X, Y)
    assert (back.query_, back.gallery_) == ("Y", "X")
    assert back.kneighbors(Y[:3])[0].shape == (3, 10)


def test_mapping_and_metric_are_tuned_together(views):
    search = GridSearchCV(
        CrossModalRetriever(CCAMapper(), k=3),
        {
            "metric": ["cosine", "euclidean", "dot"],
            "mapper__shrinkage": [0.0, 0.5],
            "mapper__n_components": [1, 4],
        },
        cv=3,
        error_score="raise",
    ).fit(views["image"], views["text"])
    assert search.best_params_["mapper__n_components"] == 4
    assert set(search.cv_results_["param_metric"]) == {"cosine", "euclidean", "dot"}
    assert search.best_estimator_.kneighbors(views["image"][:2])[1].shape == (2, 3)
    scores = cross_val_score(CrossModalRetriever(CCAMapper(4), k=3), views, cv=3)
    assert_allclose(scores.mean(), np.mean(scores))


def test_a_frozen_mapper_stays_as_it_is(views):
    mapper = CCAMapper(4).fit(views[:200])
    before = mapper.weights_["image"].copy()
    retriever = CrossModalRetriever(FrozenEstimator(mapper)).fit(views[200:])
    assert_array_equal(retriever.mapper_.weights_["image"], before)
    assert_array_equal(
        retriever.kneighbors(views["image"][200:], 1)[0],
        CrossModalRetriever(CCAMapper(4)).fit(views[:200]).set_gallery(
            views["text"][200:]
        ).kneighbors(views["image"][200:], 1)[0],
    )  # fmt: skip


def test_the_mapper_given_is_not_fitted(views):
    mapper = CCAMapper(4)
    CrossModalRetriever(mapper).fit(views)
    assert not hasattr(mapper, "weights_")


# ---- CSLS ----------------------------------------------------------------------------


def test_csls_is_its_definition(views):
    retriever = CrossModalRetriever(
        CCAMapper(4), query="text", gallery="image", k=5, hubness="csls"
    ).fit(views[:200])
    retriever.set_gallery(views["image"][200:])
    Z = retriever.mapper_.transform_views(views)
    query, gallery, bank = Z["text"][200:], Z["image"][200:], Z["text"][:200]
    S = cosine_similarity(query, gallery)
    r_query = np.sort(S, axis=1)[:, -5:].mean(axis=1)
    r_gallery = np.sort(cosine_similarity(gallery, bank), axis=1)[:, -5:].mean(axis=1)
    csls = 2 * S - r_query[:, None] - r_gallery  # Conneau et al. 2018, section 2.3
    distances, found = retriever.kneighbors(views["text"][200:], 4)
    order = np.argsort(-csls, axis=1)[:, :4]
    assert_array_equal(found, order)
    assert_allclose(distances, -np.take_along_axis(csls, order, axis=1), atol=1e-10)


def test_csls_answers_never_depend_on_other_queries(views):
    retriever = CrossModalRetriever(CCAMapper(4), hubness="csls").fit(views[:200])
    together = retriever.kneighbors(views["image"][200:])
    alone = [retriever.kneighbors(views["image"][[i]]) for i in range(200, 260)]
    assert_array_equal(together[1], np.vstack([ids for _, ids in alone]))
    assert_allclose(together[0], np.vstack([d for d, _ in alone]), atol=1e-12)


def test_csls_takes_hubs_out():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 20))
    X, Y = z + 0.8 * rng.standard_normal((2, 400, 20))
    scores = {}
    for hubness in (None, "csls"):
        retriever = CrossModalRetriever(CCAMapper(20), k=1, hubness=hubness)
        retriever.fit(X[:200], Y[:200])
        # A hub: the mean of the gallery is near to everything.
        gallery = np.vstack([Y[200:], np.tile(Y.mean(axis=0), (5, 1))])
        retriever.set_gallery(gallery)
        found = retriever.kneighbors(X[200:], 1)[1][:, 0]
        scores[hubness] = np.mean(found == np.arange(200))
    assert scores["csls"] >= scores[None]


# ---- other indexes -------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_index_of_scikit_learn(views, metric):
    index = NearestNeighbors(metric="euclidean")  # of unit rows: the order of cosine
    with_index = CrossModalRetriever(CCAMapper(4), metric=metric, index=index)
    exact = CrossModalRetriever(CCAMapper(4), metric=metric).fit(views)
    found = with_index.fit(views).kneighbors(views["image"])
    assert_array_equal(found[1], exact.kneighbors(views["image"])[1])
    assert not hasattr(index, "n_features_in_")


class Flat:
    """The interface of a faiss index."""

    def add(self, rows):
        assert rows.dtype == np.float32 and rows.flags.c_contiguous
        self.rows = rows

    def search(self, queries, k):
        S = queries @ self.rows.T
        order = np.argsort(-S, axis=1)[:, :k]
        return np.take_along_axis(S, order, axis=1), order


def test_an_index_with_add_and_search(views):
    found = CrossModalRetriever(CCAMapper(4), index=Flat()).fit(views)
    exact = CrossModalRetriever(CCAMapper(4)).fit(views)
    ours, theirs = (r.kneighbors(views["image"], 5)[1] for r in (found, exact))
    assert np.mean(ours == theirs) > 0.99  # float32


# ---- galleries -----------------------------------------------------------------------


def test_half_precision_and_memory_mapped_galleries(views, retriever, tmp_path):
    images = views["image"][200:]
    half = images.astype(np.float16)
    mapped = np.memmap(tmp_path / "g", np.float16, "w+", shape=half.shape)
    mapped[:] = half
    mapped = np.memmap(tmp_path / "g", np.float16, "r", shape=half.shape)
    expected = retriever.set_gallery(half.astype(np.float32)).kneighbors(views["text"])
    for gallery in (half, mapped):
        found = retriever.set_gallery(gallery).kneighbors(views["text"])
        assert_array_equal(found[1], expected[1])
        assert_allclose(found[0], expected[0], atol=1e-5)


def test_a_large_gallery_needs_little_beside_its_coordinates(retriever):
    import tracemalloc

    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((200_000, 9)).astype(np.float16)
    query = rng.standard_normal((2_000, 7)).astype(np.float32)
    tracemalloc.start()
    retriever.set_gallery(gallery)
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    retriever.kneighbors(query)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - start < 150e6  # all distances would be 1.6 GB


def test_frames_and_ids(views):
    frame = pd.DataFrame(
        np.hstack([views["image"], views["text"]]),
        columns=[f"i{j}" for j in range(9)] + [f"t{j}" for j in range(7)],
    )
    mapper = CCAMapper(4, views={"image": slice("i0", "i8"), "text": slice("t0", "t6")})
    retriever = CrossModalRetriever(mapper, query="text", gallery="image")
    retriever.fit(frame[:200])
    assert retriever.n_features_in_ == 16
    images = frame.loc[200:, "i0":"i8"]
    retriever.set_gallery(images, ids=images.index)
    _, found = retriever.kneighbors(frame.loc[200:, "t0":"t6"], 1)
    assert found.min() >= 200


def test_rows_without_a_view_are_left_out(views):
    image = views["image"].copy()
    image[::10] = np.nan
    retriever = CrossModalRetriever(CCAMapper(4), query="text", gallery="image")
    retriever.fit(Views(image=image, text=views["text"]))
    assert len(retriever.gallery_ids_) == 234
    assert not np.isin(np.arange(0, 260, 10), retriever.gallery_ids_).any()


# ---- refusals ------------------------------------------------------------------------


def test_n_neighbors_beyond_the_gallery(views, retriever):
    retriever.set_gallery(views["image"][:6])
    with pytest.raises(ValueError, match="n_neighbors <= 6.*got 7"):
        retriever.kneighbors(views["text"][:2], 7)
    with pytest.raises(ValueError, match="n_neighbors <= 6.*got 10"):
        retriever.kneighbors(views["text"][:2])
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="at least 1"):
            retriever.kneighbors(views["text"][:2], wrong)


def test_an_empty_gallery(views, retriever):
    with pytest.raises(ValueError, match="gallery is empty"):
        retriever.set_gallery(views["image"][:0])
    with pytest.raises(ValueError, match=r"ids has shape \(3,\).*5 rows"):
        retriever.set_gallery(views["image"][:5], ids=[1, 2, 3])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_queries_that_are_not_finite(views, retriever, value):
    query = views["text"][:4].copy()
    query[2, 1] = value
    with pytest.raises(ValueError, match="'text' contains.*row 2"):
        retriever.kneighbors(query)
    query[2] = value
    with pytest.raises(ValueError, match="row 2|Row 2"):
        retriever.kneighbors(query)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(query="sound"), "Unknown view 'sound'.*image.*text"),
        (dict(query="text", gallery="text"), "both 'text'"),
        (dict(metric="cosinus"), "cosine.*euclidean"),
        (dict(k=0), "k"),
        (dict(hubness="csls", index=NearestNeighbors()), "None"),
        (dict(metric_params={"p": 3}), "takes no metric_params"),
    ],
)
def test_wrong_parameters(views, params, message):
    with pytest.raises(ValueError, match=message):
        CrossModalRetriever(CCAMapper(2), **params).fit(views)


def test_three_views_need_names(views):
    three = Views(**dict(views.items()), sound=views["text"] * 2 + 1)
    with pytest.raises(ValueError, match="name the one that asks"):
        CrossModalRetriever(CCAMapper(2)).fit(three)
    found = CrossModalRetriever(CCAMapper(2), query="sound", gallery="image").fit(three)
    assert found.kneighbors(three["sound"][:3])[0].shape == (3, 10)
