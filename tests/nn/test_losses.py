"""Losses against slow literal transcriptions of their formulas, and their gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmeta.nn import losses  # noqa: E402

N, K = 7, 4


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(N, K))
    return A, A + 0.8 * rng.normal(size=(N, K))


def to_torch(*arrays):
    return [torch.tensor(a, dtype=torch.float64) for a in arrays]


def duplicates():
    P = np.eye(N, dtype=bool)
    P[1, 4] = P[4, 1] = P[2, 5] = True
    return P


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def slow_info_nce(A, B, P, scale):
    total = 0.0
    for left, right, match in ((A, B, P), (B, A, P.T)):
        for i in range(N):
            s = [scale * cosine(left[i], right[j]) for j in range(N)]
            log_sum = np.log(sum(np.exp(s)))
            mine = [j for j in range(N) if match[i, j]]
            total += sum(log_sum - s[j] for j in mine) / len(mine) / N
    return total / 2


def slow_siglip(A, B, P, scale, bias):
    total = 0.0
    for i in range(N):
        for j in range(N):
            z = 1 if P[i, j] else -1
            total += np.log1p(np.exp(-z * (scale * cosine(A[i], B[j]) + bias)))
    return total / N


def slow_triplet(A, B, P, margin):
    def distance(a, b):
        return np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2)

    total = 0.0
    for left, right, match in ((A, B, P), (B, A, P.T)):
        for i in range(N):
            positive = distance(left[i], right[i])
            others = [distance(left[i], right[j]) for j in range(N) if not match[i, j]]
            harder = [d for d in others if d > positive]
            negative = min(harder) if harder else max(others)
            total += max(0.0, positive - negative + margin) / N
    return total / 2


def slow_vicreg(A, B):
    loss = 25 * np.mean((A - B) ** 2)
    for Z in (A, B):
        C = np.cov(Z, rowvar=False)
        loss += 25 * np.mean(np.maximum(0, 1 - np.sqrt(np.diag(C) + 1e-4)))
        loss += sum(C[i, j] ** 2 for i in range(K) for j in range(K) if i != j) / K
    return loss


def slow_barlow(A, B):
    C = np.corrcoef(A, B, rowvar=False)[:K, K:]
    off = sum(C[i, j] ** 2 for i in range(K) for j in range(K) if i != j)
    return np.sum((1 - np.diag(C)) ** 2) + 5e-3 * off


def slow_supcon(Z, y, scale):
    anchors = []
    for i in range(len(Z)):
        others = [j for j in range(len(Z)) if j != i]
        same = [j for j in others if y[j] == y[i]]
        if not same:
            continue
        bottom = sum(np.exp(scale * cosine(Z[i], Z[j])) for j in others)
        logs = [np.log(np.exp(scale * cosine(Z[i], Z[j])) / bottom) for j in same]
        anchors.append(-np.mean(logs))
    return np.mean(anchors)


@pytest.mark.parametrize("P", [None, duplicates()], ids=["plain", "duplicates"])
def test_contrastive_losses_are_their_formulas(pair, P):
    A, B = pair
    Za, Zb = to_torch(A, B)
    mask = None if P is None else torch.tensor(P)
    P = np.eye(N, dtype=bool) if P is None else P
    scale, bias = torch.tensor(np.log(5.0)), torch.tensor(-2.0)
    found = {
        "info_nce": losses.info_nce(Za, Zb, mask, log_scale=scale),
        "siglip": losses.siglip(Za, Zb, mask, log_scale=scale, bias=bias),
        "triplet": losses.triplet(Za, Zb, mask, margin=0.4),
    }
    assert found["info_nce"].item() == pytest.approx(slow_info_nce(A, B, P, 5.0))
    assert found["siglip"].item() == pytest.approx(slow_siglip(A, B, P, 5.0, -2.0))
    assert found["triplet"].item() == pytest.approx(slow_triplet(A, B, P, 0.4))


def test_other_losses_are_their_formulas(pair):
    Za, Zb = to_torch(*pair)
    assert losses.vicreg(Za, Zb).item() == pytest.approx(slow_vicreg(*pair))
    # The published form divides by deviations without a floor.
    assert losses.barlow_twins(Za, Zb).item() == pytest.approx(
        slow_barlow(*pair), rel=1e-6
    )
    y = np.array([0, 1, 0, 2, 1, 1, 3])
    Z, labels = np.vstack([pair[0], pair[1][:5]]), np.r_[y, y[:5]]
    found = losses.supcon(
        torch.tensor(Z), torch.tensor(labels), log_scale=torch.tensor(np.log(4.0))
    )
    assert found.item() == pytest.approx(slow_supcon(Z, labels, 4.0))


def test_cca_is_minus_the_squared_correlations_that_an_svd_finds():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(200, 3))
    B = A @ rng.normal(size=(3, 4)) + rng.normal(size=(200, 4))
    bases = [np.linalg.svd(X - X.mean(0), full_matrices=False)[0] for X in (A, B)]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    found = losses.cca(*to_torch(A, B), ridge=0.0)
    assert found.item() == pytest.approx(-np.sum(correlations**2))


def test_cca_ey_has_its_minimum_at_the_canonical_correlations():
    # min over W of -2 tr(W'AW) + |W'BW|^2 is -sum of the leading eigenvalues squared
    rng = np.random.default_rng(2)
    A = rng.normal(size=(300, 3))
    B = A @ rng.normal(size=(3, 4)) + 2 * rng.normal(size=(300, 4))
    bases = [np.linalg.svd(X - X.mean(0), full_matrices=False)[0] for X in (A, B)]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    Xa, Xb = to_torch(A, B)
    Wa, Wb = to_torch(rng.normal(size=(3, 2)) / 9, rng.normal(size=(4, 2)) / 9)
    Wa.requires_grad_(), Wb.requires_grad_()
    optimiser = torch.optim.LBFGS([Wa, Wb], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = losses.cca_ey(Xa @ Wa, Xb @ Wb)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert closure().item() == pytest.approx(-np.sum(correlations[:2] ** 2), abs=1e-6)


def _functions():
    labels = torch.tensor([0, 1, 0, 2, 1, 1, 3])
    mask = torch.tensor(duplicates())
    scale, bias = torch.tensor(1.0).double(), torch.tensor(-1.0).double()
    return {
        "info_nce": lambda a, b: losses.info_nce(a, b, mask, log_scale=scale),
        "siglip": lambda a, b: losses.siglip(a, b, mask, log_scale=scale, bias=bias),
        "triplet": lambda a, b: losses.triplet(a, b, mask),
        "cca": losses.cca,
        "cca_ey": losses.cca_ey,
        "vicreg": losses.vicreg,
        "barlow_twins": losses.barlow_twins,
        "supcon": lambda a, b: losses.supcon(
            torch.cat([a, b]), labels.repeat(2), log_scale=scale
        ),
        "mse": losses.mse,
        "cross_entropy": lambda a, b: losses.cross_entropy(a + b, labels),
    }


@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients(name, pair):
    Za, Zb = (Z.requires_grad_() for Z in to_torch(*pair))
    assert torch.autograd.gradcheck(_functions()[name], (Za, Zb))


@pytest.mark.parametrize("P", [None, duplicates()], ids=["plain", "duplicates"])
@pytest.mark.parametrize("log_scale", [2.0, losses.MAX_LOG_SCALE + 0.1])
def test_gradients_of_info_nce_and_its_temperature(pair, P, log_scale):
    Za, Zb = (Z.requires_grad_() for Z in to_torch(*pair))
    scale = torch.tensor(log_scale, dtype=torch.float64, requires_grad=True)
    P = None if P is None else torch.tensor(P)

    def function(a, b, log_scale):
        return 3 * losses.info_nce(a, b, P, log_scale=log_scale)

    assert torch.autograd.gradcheck(function, (Za, Zb, scale))


@pytest.mark.parametrize("scale", [1.0, 30.0, 100.0])
def test_info_nce_in_float32_is_what_torch_has(scale):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 200, 16, generator=generator)
    Z[1] += Z[0]
    target = torch.arange(200)
    found, expected = Z.clone().requires_grad_(), Z.double().requires_grad_()
    losses.info_nce(*found, log_scale=torch.tensor(scale).log()).backward()
    A, B = torch.nn.functional.normalize(expected, dim=2)
    for logits in (scale * A @ B.T, scale * B @ A.T):
        (torch.nn.functional.cross_entropy(logits, target) / 2).backward(
            retain_graph=True
        )
    torch.testing.assert_close(
        found.grad, expected.grad.float(), rtol=1e-4, atol=1e-5 * scale / 200
    )


def test_info_nce_of_a_row_opposite_to_all_others_is_finite():
    # exp(-100 - 30) is 0 in float32
    Za = torch.ones(5, 3).requires_grad_()
    Zb = -torch.ones(5, 3)
    value = losses.info_nce(Za, Zb, log_scale=torch.tensor(100.0).log())
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(Za.grad).all()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_fault_51_a_row_of_zeros_has_a_finite_gradient(name, pair):
    Za, Zb = (Z.requires_grad_() for Z in to_torch(*pair))
    with torch.no_grad():
        Za[3] = 0
        Zb[3] = 0
    _functions()[name](Za, Zb).backward()
    assert torch.isfinite(Za.grad).all() and torch.isfinite(Zb.grad).all()


def test_fault_52_the_temperature_is_clamped(pair):
    Za, Zb = to_torch(*pair)
    far, edge = torch.tensor(50.0), torch.tensor(losses.MAX_LOG_SCALE)
    assert losses.info_nce(Za, Zb, log_scale=far) == losses.info_nce(
        Za, Zb, log_scale=edge
    )


def test_fault_50_identical_rows_are_no_negatives():
    # Encodings without a fault, two of them alike because their rows are.
    Z = torch.eye(N, dtype=torch.float64)[[0, 0, 2, 3, 4, 5, 6]]
    P = torch.eye(N, dtype=torch.bool)
    P[0, 1] = P[1, 0] = True
    learned = {"log_scale": torch.tensor(40.0).log(), "bias": torch.tensor(-20.0)}
    assert losses.siglip(Z, Z, P, **learned) < 1e-6
    assert losses.siglip(Z, Z, **learned) > 40 / N
    # One view alike, the other not: which answers which does not matter.
    answers, scale = torch.eye(N, dtype=torch.float64), learned["log_scale"]
    swapped = answers[[1, 0, 2, 3, 4, 5, 6]]
    one = losses.info_nce(answers, Z, P, log_scale=scale)
    other = losses.info_nce(swapped, Z, P, log_scale=scale)
    assert one.item() == pytest.approx(other.item())


def test_three_views_are_the_mean_of_their_pairs(pair):
    A, B = to_torch(*pair)
    C = A - B
    found = losses.over_pairs(losses.vicreg, [A, B, C], [None] * 3)
    expected = [losses.vicreg(*p).item() for p in ((A, B), (A, C), (B, C))]
    assert found.item() == pytest.approx(np.mean(expected))


def test_rows_that_lack_a_view_have_no_part_in_its_pairs(pair):
    A, B = to_torch(*pair)
    here = torch.tensor([True, True, False, True, True, True, False])
    wild = torch.where(here[:, None], B, torch.tensor(1e6).double())
    found = losses.over_pairs(losses.vicreg, [A, wild], [None, here])
    assert found.item() == losses.vicreg(A[here], B[here]).item()
    nothing = torch.zeros(N, dtype=torch.bool)
    assert losses.over_pairs(losses.vicreg, [A, B], [nothing, None]) is None


def test_a_wrong_word_lists_the_losses():
    with pytest.raises(ValueError, match="info_nce.*barlow_twins.*function"):
        losses.get_loss("clip")
