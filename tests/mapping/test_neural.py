"""`NeuralSharedSpaceMapper` as a user meets it."""

import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmeta
from skmeta import CCAMapper, CrossModalRetriever, NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views
from skmeta.exceptions import RankWarning
from skmeta.metrics import RetrievalScorer, recall_at_k

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LOSSES = ["info_nce", "siglip", "triplet", "cca", "cca_ey", "vicreg", "barlow_twins"]


def make(n_components=4, **options):
    given = {"hidden_layer_sizes": (32,), "max_iter": 30, "learning_rate_init": 0.01}
    given |= {"dropout": 0.0, "random_state": 0}
    return NeuralSharedSpaceMapper(n_components, **{**given, **options})


@pytest.fixture(scope="module")
def views():
    return make_paired_views(
        900, n_features=(12, 15), correlations=(0.95, 0.9, 0.85), random_state=0
    ).views


@pytest.fixture(scope="module")
def three():
    return make_paired_views(
        900, n_features=(12, 15, 9), correlations=(0.95, 0.9), random_state=0
    ).views


# ---- what it learns ------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_partners_are_found_among_rows_never_seen(views, loss):
    mapper = make(8, loss=loss, max_iter=100).fit(views[:600])
    Z = mapper.transform_views(views[600:])
    found = recall_at_k(Z["view0"], Z["view1"], k=10)
    assert found > 5 * 10 / 300


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_takes_three_views(three, loss):
    mapper = make(8, loss=loss, max_iter=100).fit(three[:600])
    Z = mapper.transform_views(three[600:])
    for a, b in (("view0", "view1"), ("view0", "view2"), ("view1", "view2")):
        assert recall_at_k(Z[a], Z[b], k=10) > 3 * 10 / 300


def test_a_linear_encoder_with_the_cca_loss_is_cca(views):
    mapper = make(3, loss="cca", hidden_layer_sizes=(), batch_size=900)
    mapper.set_params(early_stopping=False, weight_decay=0.0)
    mapper.set_params(max_iter=1500, n_iter_no_change=1500).fit(views)
    exact = CCAMapper(3, shrinkage=0).fit(views)
    np.testing.assert_allclose(mapper.correlations_, exact.correlations_, atol=1e-5)
    assert (np.diff(mapper.correlations_) <= 0).all()


def test_a_callable_loss_is_that_of_its_name(views):
    def mean_square(Za, Zb):
        return ((Za - Zb) ** 2).mean()

    mapper = make(loss=mean_square).fit(views)
    assert mapper.loss_curve_[-1] < mapper.loss_curve_[0] / 2


def test_the_loss_curve_is_that_of_plain_torch(views):
    from skmeta.nn.data import epoch_batches

    mapper = make(
        loss="vicreg",
        hidden_layer_sizes=(),
        early_stopping=False,
        weight_decay=0.0,
        learning_rate="constant",
        learning_rate_init=1e-3,
        max_iter=4,
        batch_size=100,
    ).fit(views)

    rng = np.random.RandomState(0)
    seed = int(rng.randint(np.iinfo(np.int32).max))
    generator = torch.Generator().manual_seed(seed)
    inputs, layers = [], []
    for X in views.values():
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        inputs.append(torch.tensor(X, dtype=torch.float32))
        layer, bound = torch.nn.Linear(X.shape[1], 4), X.shape[1] ** -0.5
        for p in (layer.weight, layer.bias):
            torch.nn.init.uniform_(p, -bound, bound, generator=generator)
        layers.append(layer)
    adam = torch.optim.Adam([p for layer in layers for p in layer.parameters()], 1e-3)
    curve = []
    for _ in range(4):
        total = 0.0
        for rows in epoch_batches(np.arange(len(views)), 100, rng):
            A, B = (f(X[rows]) for f, X in zip(layers, inputs, strict=True))
            loss = 25 * ((A - B) ** 2).mean()
            for Z in (A, B):
                C = torch.cov(Z.T)
                loss = loss + 25 * (1 - (C.diag() + 1e-4).sqrt()).relu().mean()
                loss = loss + (C - C.diag().diag()).square().sum() / 4
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(rows)
        curve.append(total / len(views))
    np.testing.assert_allclose(mapper.loss_curve_, curve, rtol=1e-5)


# ---- it stands where CCAMapper stands ------------------------------------------------


def test_the_interface_is_that_of_every_mapper(views):
    mapper = make().fit(views)
    Z = mapper.transform(views)
    assert Z.shape == (900, 8)
    assert list(mapper.get_feature_names_out()[:2]) == ["view0__0", "view0__1"]
    np.testing.assert_allclose(
        mapper.transform_view(views["view1"], "view1"), Z[:, 4:], atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.norm(Z[:, :4], axis=1), 1, atol=1e-5)
    assert mapper.score(views) > 1
    swapped = Views(view0=views["view0"], view1=views["view1"][::-1])
    assert mapper.score_samples(views).mean() > mapper.score_samples(swapped).mean()
    for fusion, width in (("mean", 4), ("posterior", 4), ("view1", 4)):
        assert clone(mapper).set_params(fusion=fusion).fit(views).transform(
            views
        ).shape == (900, width)


def test_a_view_is_predicted_from_the_other(views):
    mapper = make(8, max_iter=60).fit(views[:700])
    predicted = mapper.predict_view(views[700:], source="view0", target="view1")
    truth = views["view1"][700:]
    residual = np.sum((truth - predicted) ** 2)
    assert residual < 0.98 * np.sum((truth - views["view1"][:700].mean(axis=0)) ** 2)


def test_coordinates_are_reconstructed(views):
    mapper = make(12, fusion="concat").fit(views)
    back = mapper.inverse_transform(mapper.transform(views))
    for name, X in views.items():
        error = np.sum((X - back[name]) ** 2) / np.sum((X - X.mean(axis=0)) ** 2)
        assert error < 0.6


def test_two_arrays(views):
    X, Y = views["view0"], views["view1"]
    mapper = make().fit(X, Y)
    first, second = mapper.transform(X, Y)
    np.testing.assert_array_equal(first, mapper.transform(X))
    assert second.shape == (900, 4)
    assert mapper.predict(X).shape == Y.shape


def test_a_search_chooses_between_linear_and_neural(views):
    search = GridSearchCV(
        CrossModalRetriever(CCAMapper(), k=10),
        {"mapper": [CCAMapper(3), make(4)], "metric": ["cosine", "euclidean"]},
        cv=2,
    ).fit(views)
    assert search.best_score_ > 0.2
    assert isinstance(search.best_params_["mapper"], CCAMapper)
    assert RetrievalScorer(k=10)(make().fit(views), views) > 0.05


def test_a_table_with_text_in_a_pipeline():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=120) + 2 * y,
            "price": rng.normal(size=120) - y,
            "text": np.where(y, "a tall red tower", "one small blue house"),
        }
    )
    frame.loc[3, "text"] = None
    columns = ColumnTransformer(
        [
            ("table", StandardScaler(), ["size", "price"]),
            ("text", TfidfVectorizer(), "text"),
        ]
    )
    model = make_pipeline(make(views=columns, max_iter=5), LogisticRegression())
    assert model.fit(frame, y).score(frame, y) > 0.9


# ---- rows that lack a view -----------------------------------------------------------


def test_fault_32_rows_that_lack_a_view_train_and_are_mapped(three):
    gaps = {name: X.copy() for name, X in three.items()}
    gaps["view0"][:200] = np.nan
    gaps["view1"][200:400] = np.nan
    gapped = Views(**gaps)
    mapper = make().fit(gapped[:800])
    Z = mapper.transform(gapped)
    assert np.isfinite(Z).all() and Z.shape == (900, 12)
    whole = mapper.transform(three)
    np.testing.assert_allclose(Z[400:], whole[400:], atol=1e-6)
    # What is filled in is nearer to the truth than the mean of all rows is.
    filled, truth = Z[:200, :4], whole[:200, :4]
    error = np.sum((filled - truth) ** 2)
    assert error < np.sum((whole[:, :4].mean(axis=0) - truth) ** 2)


def test_fault_31_a_view_may_be_missing_when_mapping(views):
    mapper = make().fit(views)
    Z = mapper.transform(Views(view0=views["view0"]))
    assert np.isfinite(Z).all() and Z.shape == (900, 8)


# ---- sparse --------------------------------------------------------------------------


def test_fault_20_sparse_rows_are_those_of_the_dense_array(views):
    dense = np.maximum(views["view0"], 0)
    a = make().fit(Views(a=dense, b=views["view1"]))
    b = make().fit(Views(a=sparse.csr_array(dense), b=views["view1"]))
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-3)


# ---- stopping ------------------------------------------------------------------------


def test_it_stops_early_and_keeps_the_best_weights(views):
    mapper = make(max_iter=300, n_iter_no_change=5, tol=0.0).fit(views)
    assert mapper.n_iter_ < 300
    scores = mapper.validation_scores_
    assert len(scores) == len(mapper.loss_curve_) == mapper.n_iter_
    # 810 rows make 4 steps a pass: 100 of them are 25 passes.
    assert np.argmax(scores) == mapper.n_iter_ - 26
    assert max(scores) > 3 * scores[0] / 2


def test_without_held_out_rows_it_goes_by_the_loss(views):
    mapper = make(early_stopping=False, max_iter=3).fit(views)
    assert mapper.validation_scores_ == [] and mapper.n_iter_ == 3


def test_it_warns_at_max_iter(views):
    with pytest.warns(ConvergenceWarning, match="max_iter=3 and was still improving"):
        make(max_iter=3).fit(views)


def test_identical_rows_are_held_out_together():
    from skmeta.mapping._neural_fit import _joined
    from skmeta.nn.data import identical_rows

    A = np.array([[0.0], [1], [0], [2], [3]])
    B = np.array([[5.0], [6], [7], [6], [8]])
    masks = [np.ones(5, bool)] * 2
    groups = _joined([identical_rows(A), identical_rows(B)], masks)
    assert groups[0] == groups[2] and groups[1] == groups[3]
    assert len(set(groups)) == 3
    assert identical_rows(np.array([[0.0], [1.0]])) is None
    assert identical_rows(np.array([[0.0], [-0.0]])) is not None
    assert identical_rows(sparse.csr_array(np.eye(3)[[0, 1, 0]])).tolist() == [0, 1, 0]


# ---- parameters ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "tanh"},
        {"dropout": 0.3},
        {"layer_norm": True},
        {"hidden_layer_sizes": (16, 16)},
        {"standardize": False},
        {"batch_size": 64},
        {"learning_rate_init": 1e-3},
        {"learning_rate": "constant"},
        {"warmup_fraction": 0.3},
        {"weight_decay": 1.0},
        {"max_grad_norm": 1e-3},
        {"validation_fraction": 0.3},
        {"early_stopping": False},
        {"random_state": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_parameter_changes_the_fit(views, change):
    plain = make(max_iter=4).fit(views).transform(views)
    other = make(**{"max_iter": 4, **change}).fit(views).transform(views)
    assert np.abs(plain - other).max() > 1e-4


def test_a_loss_that_is_unknown_lists_them(views):
    with pytest.raises(ValueError, match="info_nce.*or a function"):
        make(loss="nce").fit(views)


@pytest.mark.parametrize("sizes", [(0,), (3, -1), (2.5,)])
def test_hidden_layers_are_whole_numbers(views, sizes):
    with pytest.raises(ValueError, match="whole numbers"):
        make(hidden_layer_sizes=sizes).fit(views)


def test_cca_refuses_batches_that_are_too_small(views):
    with pytest.raises(ValueError, match="8 rows and 8 components.*cca_ey"):
        make(8, loss="cca", batch_size=8).fit(views)
    with pytest.warns(RankWarning, match="at least 32 rows"):
        make(8, loss="cca", batch_size=20, max_iter=2).fit(views)


@pytest.mark.parametrize("rate", [0, -0.1])
def test_fault_48_the_learning_rate_is_positive(views, rate):
    with pytest.raises(ValueError, match="learning_rate_init"):
        make(learning_rate_init=rate).fit(views)


# ---- faults --------------------------------------------------------------------------


def test_fault_35_the_same_seed_gives_the_same_bits(views):
    a, b = (make(dropout=0.2).fit(views).transform(views) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_fault_36_global_generators_are_left_alone(views):
    ours, theirs = pickle.dumps(np.random.mtrand._rand), torch.random.get_rng_state()
    make(dropout=0.2, max_iter=3).fit(views)
    assert pickle.dumps(np.random.mtrand._rand) == ours
    assert torch.equal(torch.random.get_rng_state(), theirs)


def test_fault_37_fits_in_two_threads_are_those_in_turn(views):
    def fit(seed, out):
        mapper = make(dropout=0.3, max_iter=6, random_state=seed)
        out[seed] = mapper.fit(views).transform(views)

    turn, threads = {}, {}
    for seed in (1, 2):
        fit(seed, turn)
    running = [threading.Thread(target=fit, args=(seed, threads)) for seed in (1, 2)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for seed in (1, 2):
        np.testing.assert_array_equal(turn[seed], threads[seed])


def test_fault_34_pickled_without_torch_objects(views):
    mapper = make(max_iter=3, layer_norm=True).fit(views)
    stored = pickle.dumps(mapper)
    assert b"torch" not in stored
    np.testing.assert_array_equal(
        pickle.loads(stored).transform(views), mapper.transform(views)
    )


def test_fault_19_saved_and_loaded(views, tmp_path):
    pytest.importorskip("skops")
    mapper = make(max_iter=3, layer_norm=True).fit(views)
    skmeta.save(mapper, tmp_path / "mapper.skmeta")
    np.testing.assert_array_equal(
        skmeta.load(tmp_path / "mapper.skmeta").transform(views),
        mapper.transform(views),
    )


def test_a_fitted_mapper_maps_without_torch(views, tmp_path):
    mapper = make(max_iter=3).fit(views)
    (tmp_path / "mapper.pickle").write_bytes(pickle.dumps(mapper))
    np.save(tmp_path / "expected.npy", mapper.transform(views))
    np.savez(tmp_path / "views.npz", **views)
    code = f"""
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import pickle, numpy as np
from skmeta import NeuralSharedSpaceMapper, Views
folder = {str(tmp_path)!r}
mapper = pickle.load(open(folder + "/mapper.pickle", "rb"))
views = Views(**np.load(folder + "/views.npz"))
np.testing.assert_allclose(
    mapper.transform(views), np.load(folder + "/expected.npy"), atol=1e-5
)
try:
    NeuralSharedSpaceMapper().fit(views)
except ImportError as error:
    assert "skmeta[torch]" in str(error)
else:
    raise SystemExit("it fitted without torch")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fault_47_a_loss_that_is_not_finite_stops_the_fit(views):
    steps = []

    def breaks(Za, Zb):
        steps.append(1)
        loss = ((Za - Zb) ** 2).mean()
        return loss * float("nan") if len(steps) == 7 else loss

    mapper = make(loss=breaks, early_stopping=False)
    with pytest.raises(FloatingPointError, match=r"step 7 \(epoch 2, learning rate"):
        mapper.fit(views)
    assert np.isfinite(mapper.transform(views)).all()


def test_fault_49_a_last_batch_of_one_joins_the_one_before():
    from skmeta.nn.data import epoch_batches

    sizes = [len(b) for b in epoch_batches(np.arange(21), 10, np.random.RandomState(0))]
    assert sizes == [10, 11]


def test_fault_63_a_device_that_is_not_there(views):
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match="device='cuda' is not there.*'auto'"):
        make(device="cuda").fit(views)
    with pytest.raises(ValueError, match="device='gpu' is not there"):
        make(device="gpu").fit(views)


def test_fault_06_a_constant_column_changes_nothing_that_varies(views):
    X = np.column_stack([views["view0"], np.full(900, 3.3)])
    mapper = make(max_iter=3).fit(Views(a=X, b=views["view1"]))
    moved = X.copy()
    moved[:, -1] += 5
    np.testing.assert_array_equal(
        mapper.transform_view(X, "a"), mapper.transform_view(moved, "a")
    )


@pytest.mark.parametrize("loss", ["info_nce", "cca", "vicreg"])
def test_fault_11_units_and_offsets_change_nothing(views, loss):
    scaled = Views(
        view0=views["view0"] * 10.0 ** np.arange(-6, 6) + 1e3, view1=views["view1"]
    )
    a = make(loss=loss, max_iter=3).fit(views)
    b = make(loss=loss, max_iter=3).fit(scaled)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-3)


def test_views_are_standardised_or_not_by_name(views):
    def fitted(**options):
        return make(max_iter=3, **options).fit(views).transform(views)

    np.testing.assert_array_equal(
        fitted(standardize={"view0": False, "view1": False}), fitted(standardize=False)
    )
    one = fitted(standardize={"view0": False})
    assert not np.array_equal(one, fitted())
    assert not np.array_equal(one, fitted(standardize=False))
    with pytest.raises(ValueError, match="standardize= names view 'nowhere'"):
        fitted(standardize={"nowhere": False})


def test_what_is_planted_where_linear_cca_finds_nothing_is_found():
    made = make_paired_views(4000, n_features=(8, 9), nonlinear=True, random_state=0)
    train, test = made.views[:3000], made.views[3000:]
    assert abs(CCAMapper(2).fit(train).score(test)) < 0.1
    mapper = NeuralSharedSpaceMapper(2, loss="cca_ey", max_iter=40, random_state=0)
    assert mapper.fit(train).score(test) > 0.9 * made.correlations.sum()
