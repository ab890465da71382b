"""Answers of neural mappers that were wrong in silence, errors that hid why."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmeta import NeuralSharedSpaceMapper, Views
from skmeta.datasets import make_paired_views

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from skmeta.mapping._neural_fit import split  # noqa: E402
from skmeta.nn.checkpoint import fingerprint  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MADE = make_paired_views(60, n_features=(5, 6), random_state=0).views
A, B = MADE["view0"], MADE["view1"]
VIEWS = Views(a=A, b=B)
LABELS = (A[:, 0] > 0).astype(int)
NUMBERS = A[:, :2]


def make(**options):
    given = {"n_components": 3, "hidden_layer_sizes": (8,), "max_iter": 2}
    return NeuralSharedSpaceMapper(**{**given, "random_state": 0, **options})


# ---- answers that were wrong in silence ----------------------------------------------


@pytest.mark.parametrize(
    "change",
    [lambda X, generator: X[: len(X) // 2], lambda X, generator: torch.cat([X, X])],
)
def test_augmentation_keeps_the_rows(change):
    with pytest.raises(ValueError, match=r"augment\['a'\] made .* of a batch of shape"):
        make(augment={"a": change, "b": change}).fit(VIEWS)


@pytest.mark.parametrize(
    ("first", "second", "y", "y_then"),
    [
        ({}, {}, LABELS, np.array(["no", "yes"])[1 - LABELS]),
        ({}, {"fusion": "mean"}, LABELS, LABELS),
        ({}, {"loss": "mse"}, LABELS, NUMBERS),
        ({}, {"loss": "info_nce"}, LABELS, None),
        ({"loss": "info_nce"}, {"loss": "cross_entropy"}, None, LABELS),
        ({"loss": "mse"}, {}, NUMBERS[:, 0], A[:, :3]),
        ({"loss": "mse"}, {}, NUMBERS, NUMBERS[:, 0]),
        ({"loss": "info_nce"}, {"activation": "tanh"}, None, None),
        ({"loss": "info_nce"}, {"layer_norm": True}, None, None),
        ({"loss": "info_nce"}, {"hidden_layer_sizes": (9,)}, None, None),
        ({"loss": "info_nce"}, {"loss": "siglip"}, None, None),
        ({"loss": "info_nce"}, {"encoders": {"a": nn.Linear(5, 3)}}, None, None),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fit_goes_on_only_with_what_was_trained(method, first, second, y, y_then):
    mapper = make(**{"loss": "cross_entropy", "warm_start": True, **first})
    mapper.fit(VIEWS, y)
    before = mapper.transform(VIEWS)
    mapper.set_params(**second)
    with pytest.raises(ValueError, match="would go on|the classes|rows before"):
        getattr(mapper, method)(VIEWS, y_then)
    mapper.set_params(fusion="concat")
    assert_array_equal(mapper.transform(VIEWS), before)


def test_partial_fit_goes_on_with_another_loss_of_views():
    mapper = make().partial_fit(VIEWS).set_params(loss="vicreg").partial_fit(VIEWS)
    assert mapper.n_iter_ == 2


@pytest.mark.parametrize("change", [{"fusion": "a"}, {"fusion": "mean"}])
def test_the_head_reads_what_it_was_trained_on(change):
    mapper = make(loss="cross_entropy", fusion="mean").fit(VIEWS, LABELS)
    expected = mapper.predict_proba(VIEWS)
    mapper.set_params(**change, head=None)
    assert_allclose(mapper.predict_proba(VIEWS), expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "info_nce"])
def test_predicting_for_another_loss_than_that_of_the_fit(loss):
    mapper = make(loss=loss).fit(VIEWS, LABELS if loss != "info_nce" else None)
    mapper.set_params(loss="mse")
    with pytest.raises(ValueError, match="fit it again"):
        mapper.predict(VIEWS)


def test_nothing_of_a_fit_with_another_loss_is_left():
    mapper = make(loss="cross_entropy").fit(VIEWS, LABELS)
    mapper.set_params(loss="info_nce").fit(VIEWS)
    for name in ("classes_", "coef_", "intercept_"):
        assert not hasattr(mapper, name)


def _times(factor):
    return lambda Za, Zb: factor * ((Za - Zb) ** 2).mean()


def _by_default(factor):
    def loss(Za, Zb, factor=factor):
        return factor * ((Za - Zb) ** 2).mean()

    return loss


def test_a_checkpoint_tells_functions_apart(tmp_path):
    assert len({fingerprint({"loss": _times(f)}, []) for f in (1.0, 5.0, 5.0)}) == 2
    assert len({fingerprint({"loss": _by_default(f)}, []) for f in (1.0, 5.0)}) == 2
    constants = [lambda a, b: 1.0 * (a - b).mean(), lambda a, b: 5.0 * (a - b).mean()]
    assert len({fingerprint({"loss": f}, []) for f in constants}) == 2
    names = [lambda a, b: (a - b).mean(), lambda a, b: (a - b).sum()]
    assert len({fingerprint({"loss": f}, []) for f in names}) == 2
    path = tmp_path / "fit.ckpt"
    make(loss=_times(1.0), checkpoint=path).fit(VIEWS)
    with pytest.raises(ValueError, match="belongs to another fit"):
        make(loss=_times(5.0), checkpoint=path).fit(VIEWS)


def test_a_checkpoint_without_a_seed_is_refused_before_the_work(tmp_path):
    path = tmp_path / "fit.ckpt"
    with pytest.raises(ValueError, match="checkpoint= needs random_state"):
        make(random_state=None, checkpoint=path).fit(VIEWS)
    assert not path.exists()


# ---- rows that are held out ----------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_a_large_group_of_identical_rows_does_not_use_up_the_held_out(seed):
    ids = np.r_[np.zeros(100, int), np.arange(100, 300)]
    masks = [np.ones(300, bool)] * 2
    rng = np.random.RandomState(seed)
    rows, held = split([ids, None], masks, 0.1, rng)
    assert len(held) == 30
    assert len(rows) == 270


def test_with_a_target_a_view_of_few_distinct_rows_leaves_rows_to_hold_out():
    views = Views(a=np.eye(3)[np.arange(60) % 3], b=B)
    mapper = make(loss="cross_entropy").fit(views, LABELS)
    assert len(mapper.validation_scores_) == 2
    ids = [np.repeat(np.arange(0, 60, 2), 2)] * 2  # rows 2i and 2i + 1 are the same
    masks = [np.ones(60, bool)] * 2
    _, held = split(ids, masks, 0.2, np.random.RandomState(0), whole=True)
    assert_array_equal(held[::2] + 1, held[1::2])


def test_cca_is_not_stopped_by_rows_that_can_tell_nothing():
    assert make(loss="cca", n_components=2).fit(VIEWS).validation_scores_ == []
    views = make_paired_views(200, random_state=0).views
    assert make(loss="cca", n_components=2).fit(views).validation_scores_


@pytest.mark.parametrize("scoring", [lambda mapper, X, y: np.nan, "roc_auc"])
@pytest.mark.filterwarnings("ignore:Only one class")
def test_scores_that_are_all_nan(scoring):
    rare = np.arange(60) == 5
    with pytest.warns(UserWarning, match="was NaN after each of the 2 passes"):
        make(loss="cross_entropy", scoring=scoring).fit(VIEWS, rare)


# ---- rows that lack views ------------------------------------------------------------


@pytest.mark.parametrize("loss", ["info_nce", "cross_entropy", "supcon"])
@pytest.mark.parametrize(
    ("n_both", "match"), [(0, r"0 row\(s\) have two"), (1, r"1 row\(s\) have two")]
)
def test_rows_without_partners_leave_the_mapper_as_it_was(loss, n_both, match):
    y = None if loss == "info_nce" else LABELS
    mapper = make(loss=loss).fit(VIEWS, y)
    before = mapper.transform(VIEWS)
    first = np.arange(60) < 30 + n_both
    lacking = Views.from_dict(
        {"a": A, "b": B}, present={"a": first, "b": np.arange(60) >= 30}
    )
    for method in (mapper.fit, mapper.partial_fit):
        with pytest.raises(ValueError, match=match):
            method(lacking, y)
        assert_array_equal(mapper.transform(VIEWS), before)


def test_a_view_that_no_row_has():
    lacking = Views.from_dict({"a": A, "b": B}, present={"a": np.zeros(60, bool)})
    with pytest.raises(ValueError, match="No row has view 'a'"):
        make().fit(lacking)


# ---- errors that say what is wrong ---------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        lambda Za, Zb: ((Za - Zb) ** 2).sum(dim=1),
        lambda Za, Zb: 1.0,
        lambda Za, Zb: None,
    ],
)
def test_a_loss_gives_one_number(loss):
    with pytest.raises(ValueError, match="a torch tensor of one number is needed"):
        make(loss=loss).fit(VIEWS)


def test_a_loss_without_a_gradient():
    with pytest.raises(ValueError, match="depends on nothing that is trained"):
        make(loss=lambda Za, Zb: (Za - Zb).detach().mean()).fit(VIEWS)


def test_nothing_to_train():
    frozen = {
        name: nn.Linear(width, 3).requires_grad_(False)
        for name, width in (("a", 5), ("b", 6))
    }
    with pytest.raises(ValueError, match="every parameter of the encoders is frozen"):
        make(loss="vicreg", encoders=frozen).fit(VIEWS)


def test_modules_in_float64_are_taken_in_float32():
    module = nn.Linear(5, 3).double()
    mapper = make(encoders={"a": module}).fit(VIEWS)
    assert np.isfinite(mapper.transform(VIEWS)).all()
    assert module.weight.dtype == torch.float64


def test_an_error_within_a_module_names_its_view():
    with pytest.raises(RuntimeError) as caught:
        make(encoders={"a": nn.Linear(7, 3)}).fit(VIEWS)
    assert "encoder of view 'a'" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("weight", ["1", np.inf, np.nan, -1, None])
def test_weights_of_alignment(weight):
    with pytest.raises(ValueError, match="alignment= .* for 'vicreg'"):
        make(alignment={"vicreg": weight}).fit(VIEWS)


@pytest.mark.parametrize(
    ("label", "match"),
    [
        (None, "y has no label for row 4"),
        (3, r"y has labels of types \['int', 'str'\]"),
    ],
)
def test_labels_that_have_no_order(label, match):
    y = np.array(["a", "b"] * 30, dtype=object)
    y[4] = label
    with pytest.raises(ValueError, match=match):
        make(loss="cross_entropy").fit(VIEWS, y)


def test_an_augmentation_that_is_no_function():
    with pytest.raises(ValueError, match="augment=.*is unknown"):
        make(augment={"a": ["noise"]}).fit(VIEWS)


def test_one_hidden_layer_as_a_number():
    assert_array_equal(
        make(hidden_layer_sizes=8).fit(VIEWS).transform(VIEWS),
        make(hidden_layer_sizes=(8,)).fit(VIEWS).transform(VIEWS),
    )


# ---- what stands between, and after --------------------------------------------------


@pytest.mark.parametrize("encoder", ["conv4", "resnet", "module"])
def test_a_batch_in_which_no_row_has_a_view(encoder):
    images = np.random.default_rng(0).normal(size=(60, 1, 8, 8))
    present = {"a": np.arange(60) < 6}
    views = Views.from_dict({"a": images, "b": B, "c": A}, present=present)
    if encoder == "module":

        def encoder():
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    mapper = make(
        encoders={"a": encoder}, augment={"a": "affine", "b": "noise"}, batch_size=4
    )
    assert np.isfinite(mapper.fit(views).transform(views)).all()


def test_rows_that_cannot_be_held_out_are_said_to_be_none():
    same = Views(a=np.zeros((60, 4)), b=np.zeros((60, 4)))
    with pytest.warns(UserWarning, match="too few of the 60 are distinct"):
        mapper = make().fit(same)
    assert mapper.validation_scores_ == []


def test_classes_for_a_view_leave_new_rows_of_known_classes_to_hold_out():
    mapper = make(max_iter=4).fit(B, np.eye(2)[LABELS])
    assert len(mapper.validation_scores_) == 4


@pytest.mark.parametrize("loss", ["supcon", "cross_entropy"])
def test_many_to_many_pairs_of_classes_hold_rows_out(loss):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    pictures, sounds = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 6))
    views = Views(
        a=pictures[labels, rng.integers(0, 5, 120)],
        b=sounds[labels, rng.integers(0, 5, 120)],
    )
    mapper = make(loss=loss).fit(views, labels)
    assert len(mapper.validation_scores_) == 2


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_pieces_go_on_after_a_step_that_failed(method):
    mapper = make(loss=lambda Za, Zb: (Za * np.nan).sum())
    with pytest.raises(FloatingPointError):
        getattr(mapper, method)(VIEWS)
    mapper.set_params(loss=lambda Za, Zb: ((Za - Zb) ** 2).mean())
    for n in (1, 2):
        assert len(mapper.partial_fit(VIEWS).loss_curve_) == n


def test_fits_that_draw_from_the_global_generator_wait_for_each_other():
    from concurrent.futures import ThreadPoolExecutor

    def encoder():
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))

    def fitted(seed):
        mapper = make(encoders={"a": encoder}, max_iter=20, random_state=seed)
        return mapper.fit(VIEWS).transform(VIEWS)

    state = torch.random.get_rng_state()
    expected = [fitted(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for found, known in zip(pool.map(fitted, range(4)), expected, strict=True):
            assert_array_equal(found, known)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("options", [{}, {"loss": "cca", "batch_size": 8}])
def test_warnings_point_at_the_line_of_the_user(options):
    with pytest.warns(UserWarning) as caught:
        make(**options, tol=0.0).fit(VIEWS)
    assert {warning.filename for warning in caught} == {__file__}


def test_warnings_of_a_linear_mapper_do_too():
    from skmeta import CCAMapper

    with pytest.warns(UserWarning) as caught:
        CCAMapper(2, shrinkage=0).fit(A[:9], B[:9])
    assert {warning.filename for warning in caught} == {__file__}


def test_weights_that_overflow_are_said_to():
    """Finite as they are, no row can be mapped by them."""
    views = make_paired_views(200, random_state=0).views
    mapper = NeuralSharedSpaceMapper(
        4, learning_rate_init=1e10, max_iter=2, random_state=0
    )
    with pytest.raises(FloatingPointError, match="encodings are not finite"):
        mapper.fit(views)


def test_a_score_of_predictions_needs_a_target():
    with pytest.raises(ValueError, match="scoring='accuracy' asks for what a mapper"):
        make(scoring="accuracy").fit(VIEWS, LABELS)


def test_fault_64_out_of_memory_says_what_to_do():
    def greedy(Za, Zb):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    with pytest.raises(torch.OutOfMemoryError) as caught:
        make(loss=greedy, batch_size=32).fit(VIEWS)
    assert "batches of 32 rows does not fit" in caught.value.__notes__[0]
    assert "lower batch_size" in caught.value.__notes__[0]
