"""Augmentation: known shifts and turns, what is drawn, and refusals."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.nn import augment  # noqa: E402


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def X():
    return torch.randn(5, 2, 12, 9, generator=seeded(1))


def warped(X, *, angle=0.0, shear=0.0, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    n = len(X)
    return augment.warp(
        X,
        angles=torch.full((n,), angle),
        shears=torch.full((n,), shear),
        scales=torch.tensor(scale)[:, None].expand(2, n),
        shifts=torch.tensor(shift)[:, None].expand(2, n),
    ).numpy()


def test_nothing_asked_for_leaves_images(X):
    same = augment.Affine(degrees=0, translate=0, scale=0, shear=0)
    np.testing.assert_allclose(same(X, seeded()), X, atol=1e-5)


@pytest.mark.parametrize("right, down", [(0, 3), (2, 0), (-1, 2), (1, -4)])
def test_whole_pixels_are_shifted_as_by_roll(X, right, down):
    found = warped(X, shift=(float(right), float(down)))
    expected = np.roll(X.numpy(), (down, right), axis=(2, 3))
    inner = np.s_[:, :, 4:-4, 2:-2]
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)


def test_beyond_the_border_is_the_border(X):
    found = warped(X, shift=(0.0, 3.0))
    for row in range(3):
        np.testing.assert_allclose(found[:, :, row], X[:, :, 0], atol=1e-5)


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_those_of_rot90(side, quarters):
    X = torch.randn(3, 2, side, side, generator=seeded())
    found = warped(X, angle=quarters * np.pi / 2)
    expected = np.rot90(X.numpy(), quarters, axes=(2, 3))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_a_turn_of_an_oblong_image(X):
    found = warped(X, angle=np.pi)
    np.testing.assert_allclose(found, X.flip(2, 3), atol=1e-5)


def test_an_oblong_image_is_turned_without_being_stretched():
    X = torch.zeros(1, 1, 9, 21)
    X[0, 0, 4, 13] = 1  # three pixels to the right of the centre
    found = warped(X, angle=np.pi / 2)[0, 0]
    assert np.unravel_index(found.argmax(), found.shape) == (1, 10)
    assert found.max() == pytest.approx(1, abs=1e-5)


def test_each_side_is_scaled_by_its_own():
    y, x = np.mgrid[-8:9, -8:9].astype(np.float32)
    X = torch.tensor(np.stack([x, y]))[None]
    found = warped(X, scale=(2.0, 1.25))[0]
    np.testing.assert_allclose(found[0], x / 2, atol=1e-5)
    np.testing.assert_allclose(found[1], y / 1.25, atol=1e-5)


def test_a_shear_moves_rows_along_themselves():
    y, x = np.mgrid[-8:9, -8:9].astype(np.float32)
    X = torch.tensor(np.stack([x, y]))[None]
    found = warped(X, shear=np.arctan(0.5))[0]
    inner = np.s_[4:-4, 3:-3]
    np.testing.assert_allclose(found[0][inner], (x - y / 2)[inner], atol=1e-5)
    np.testing.assert_allclose(found[1][inner], y[inner], atol=1e-5)


@pytest.mark.parametrize(
    "strength", [{"degrees": 30}, {"translate": 0.2}, {"scale": 0.5}, {"shear": 30}]
)
def test_each_strength_has_its_effect(X, strength):
    none = {"degrees": 0, "translate": 0, "scale": 0, "shear": 0}
    found = augment.Affine(**{**none, **strength})(X, seeded())
    assert (found - X).abs().amax(dim=(1, 2, 3)).min() > 0.05


def test_strengths_are_bounds():
    y, x = np.mgrid[-8:9, -8:9].astype(np.float32)
    X = torch.tensor(np.stack([x, y]))[None].expand(2000, 2, 17, 17)
    shifts = augment.Affine(0, 0.1, 0, 0)(X, seeded())[:, :, 8, 8].numpy()
    assert np.abs(shifts).max() <= 1.7 + 1e-4
    assert np.abs(shifts).max(axis=0) == pytest.approx(1.7, abs=0.02)
    assert shifts.mean(axis=0) == pytest.approx(0, abs=0.1)
    turned = augment.Affine(20, 0, 0, 0)(X, seeded())[:, :, 8, 10].numpy()
    angles = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]))
    assert np.abs(angles).max() == pytest.approx(20, abs=0.1)
    growth = X[0, 0, 8, 10] / augment.Affine(0, 0, 0.5, 0)(X, seeded())[:, 0, 8, 10]
    assert growth.max().item() == pytest.approx(1.5, abs=0.01)
    assert growth.min().item() == pytest.approx(1 / 1.5, abs=0.01)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_what_is_drawn_is_the_generators(X, name):
    function = augment.get_augmentation(name)
    before, given = torch.random.get_rng_state(), X.clone()
    found = function(X, seeded())
    assert found.shape == X.shape and found.dtype == X.dtype
    assert torch.equal(found, function(X, seeded()))
    assert not torch.equal(found, function(X, seeded(1)))
    assert torch.equal(X, given)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_each_row_is_changed_by_its_own():
    X = torch.randn(1, 1, 16, 16, generator=seeded()).expand(4, 1, 16, 16)
    found = augment.Affine()(X, seeded())
    for i in range(3):
        assert (found[i] - found[3]).abs().max() > 0.01


def test_noise_is_of_a_tenth_of_a_standard_deviation():
    X = torch.zeros(200, 300)
    found = augment.noise(X, seeded())
    assert found.std().item() == pytest.approx(0.1, abs=0.001)
    assert found.mean().item() == pytest.approx(0, abs=0.001)


def test_an_affine_is_read_back_from_a_pickle():
    affine = augment.Affine(degrees=3, scale=0.2)
    again = pickle.loads(pickle.dumps(affine))
    assert repr(again) == "Affine(degrees=3, translate=0.08, scale=0.2, shear=5.0)"
    assert vars(again) == vars(affine)


def test_a_function_is_taken_as_it_is():
    def function(X, generator):
        return X

    assert augment.get_augmentation(function) is function


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match=r"'flip' is unknown.*'affine', 'noise'"):
        augment.get_augmentation("flip")
    with pytest.raises(ValueError, match=r"shape \(4, 7\).*choose 'noise'"):
        augment.get_augmentation("affine")(torch.zeros(4, 7), seeded())
    with pytest.raises(ValueError, match="from 0 on.*degrees=-1"):
        augment.Affine(degrees=-1)
    with pytest.raises(ValueError, match="under 90"):
        augment.Affine(shear=90)
