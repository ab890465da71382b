"""Losses of a batch of encodings: small functions, and one table of them.

A loss of pairs takes encodings Za, Zb of shape (n_rows, n_components), row i of one
belonging to row i of the other, and gives a scalar. For three and more views it is
averaged over the pairs of views (`over_pairs`). ``positives`` is a boolean matrix
(n_rows, n_rows): entry (i, j) says that row j of the other view answers row i as well,
as where two rows are identical in a view; None for the diagonal.

Nothing here differentiates through an eigendecomposition, whose gradient is infinite at
repeated eigenvalues.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

# exp(4.6052) = 100: CLIP's bound on the inverse temperature (Radford et al. 2021).
MAX_LOG_SCALE = 4.605170185988092
EPS = 1e-8


def unit(Z):
    """Rows of length one; a row of zeros stays, with a finite gradient."""
    return Z / torch.linalg.vector_norm(Z, dim=-1, keepdim=True).clamp(min=EPS)


def similarities(Za, Zb, log_scale):
    """Cosine similarities over a temperature, exp(log_scale) being its inverse."""
    return log_scale.clamp(max=MAX_LOG_SCALE).exp() * (unit(Za) @ unit(Zb).T)


def _diagonal(Z):
    return torch.eye(len(Z), dtype=torch.bool, device=Z.device)


def info_nce(Za, Zb, positives=None, *, log_scale):
    """Symmetric InfoNCE (van den Oord et al. 2018, eq. 4; Radford et al. 2021).

    Cross-entropy of the softmax over a row's candidates, against equal shares of its
    positives, averaged over both directions.
    """
    return _InfoNCE.apply(Za, Zb, positives, log_scale)


class _InfoNCE(torch.autograd.Function):
    """`info_nce` with a single power of each similarity for both softmaxes.

    Of similarities over the temperature, in units of log 2 and less a shift, S, let
    E = 2^S, r and c be its sums over rows and columns, and T the mean over both
    directions of the shares of the positives, divided by n. The loss is log 2 times
    (mean log2 r + mean log2 c) / 2 - <T, S>, whatever the shift, and its gradient in S
    log 2 times E * (1 / r + 1 / c) / 2n - T.
    """

    # Similarities over the temperature lie within the scale, 100 at most, on both sides
    # of 0, and float32 has exp(x) for x from -87 to 88. With this share of the scale as
    # the shift no sum overflows; one may be 0 at scales above 67, where all angles of a
    # row exceed 120 degrees: it still has its positives' part of the gradient.
    SHIFT = 0.3
    LOG_2 = 0.6931471805599453  # powers of 2 take half the time of powers of e

    @staticmethod
    def forward(ctx, Za, Zb, positives, log_scale):
        n = len(Za)
        Z = torch.stack([Za, Zb])
        lengths = torch.linalg.vector_norm(Z, dim=2, keepdim=True).clamp_(min=EPS)
        A, B = U = Z.div_(lengths)
        scale = log_scale.clamp(max=MAX_LOG_SCALE).exp().to(Za.dtype)
        in_bits = scale / _InfoNCE.LOG_2
        S = torch.addmm(in_bits, in_bits * A, B.T, beta=-_InfoNCE.SHIFT)
        if positives is None:
            T, own = None, S.trace() / n
        else:
            T = positives.to(S.dtype)
            T = T * (1 / T.sum(dim=1, keepdim=True) + 1 / T.sum(dim=0)) / (2 * n)
            own = (T * S).sum()
        E = S.exp2_()
        sums = torch.stack([E.sum(dim=1), E.sum(dim=0)])
        sums.clamp_(min=torch.finfo(sums.dtype).tiny)
        ctx.save_for_backward(U, lengths, E, sums, T, scale, log_scale)
        return (sums.log2().mean() - own) * _InfoNCE.LOG_2

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        U, lengths, E, sums, T, scale, log_scale = ctx.saved_tensors
        n = len(E)
        r, c = sums.reciprocal()
        G = (r[:, None] + c).mul_(E)  # 2n times the gradient
        if T is None:
            G.diagonal().sub_(2)
        else:
            G.sub_(T, alpha=2 * n)
        to_U = torch.empty_like(U)
        torch.mm(G, U[1], out=to_U[0])
        torch.mm(G.T, U[0], out=to_U[1])
        to_U.mul_(upstream * scale / (2 * n))
        along = (to_U * U).sum(dim=2, keepdim=True)
        to_scale = along[0].sum().where(log_scale <= MAX_LOG_SCALE, 0)
        # A row's length changes nothing: what lies along the row falls away.
        to_Z = to_U.addcmul_(U, along, value=-1).div_(lengths)
        return to_Z[0], to_Z[1], None, to_scale


def siglip(Za, Zb, positives=None, *, log_scale, bias):
    """Pairwise sigmoid loss (Zhai et al. 2023, eq. 1)."""
    logits = similarities(Za, Zb, log_scale) + bias
    positives = _diagonal(Za) if positives is None else positives
    signs = torch.where(positives, 1.0, -1.0).to(logits.dtype)
    return -F.logsigmoid(signs * logits).sum() / len(Za)


def triplet(Za, Zb, positives=None, *, margin=0.2):
    """Triplets with semi-hard negatives (Schroff et al. 2015, section 3.2).

    The negative of an anchor is the nearest that is farther than its positive, or the
    farthest of all where none is; distances are squared Euclidean, of unit rows.
    """
    D = 2 - 2 * unit(Za) @ unit(Zb).T
    positives = _diagonal(Za) if positives is None else positives
    return (_semi_hard(D, positives, margin) + _semi_hard(D.T, positives.T, margin)) / 2


def _semi_hard(D, positives, margin):
    positive = D.diagonal()[:, None]
    negative = ~positives
    with torch.no_grad():
        farther = negative & (D > positive)
        nearest = D.masked_fill(~farther, torch.inf).argmin(dim=1)
        farthest = D.masked_fill(~negative, -torch.inf).argmax(dim=1)
        chosen = torch.where(farther.any(dim=1), nearest, farthest)
    gaps = positive[:, 0] - D.gather(1, chosen[:, None])[:, 0] + margin
    return torch.where(negative.any(dim=1), gaps.clamp(min=0), 0.0).mean()


def _centred(Z):
    return Z - Z.mean(dim=0)


def _covariance(A, B):
    return A.T @ B / (len(A) - 1)


def cca(Za, Zb, *, ridge=1e-4):
    """Minus the sum of squared canonical correlations (Andrew et al. 2013, section 3).

    ``-|La^-1 Cab Lb^-T|_F^2`` with Cholesky factors of ``Caa`` and ``Cbb``, of which a
    share ``ridge`` of their mean variance is added to the diagonals.
    """
    A, B = _centred(Za), _centred(Zb)
    C = _covariance(A, B)
    C = torch.linalg.solve_triangular(_factor(A, ridge), C, upper=False)
    C = torch.linalg.solve_triangular(_factor(B, ridge), C.T, upper=False)
    return -(C * C).sum()


def _factor(A, ridge):
    C = _covariance(A, A)
    k = len(C)
    level = ridge * (C.diagonal().mean() + EPS)
    return torch.linalg.cholesky(
        C + level * torch.eye(k, dtype=C.dtype, device=C.device)
    )


def cca_ey(*encodings):
    """CCA for small batches: the Eckart-Young loss of Chapman, Wells & Aguila (2024).

    ``-2 tr(C) + |V|_F^2``, C the sum of the covariances between different views and V
    that of the covariances within them, divided by the number of views.
    """
    m = len(encodings)
    centred = [_centred(Z) for Z in encodings]
    within = sum(_covariance(A, A) for A in centred)
    total = sum(centred)
    everything = _covariance(total, total)
    between = (everything - within).diagonal().sum()
    return (-2 * between / m) + ((within / m) ** 2).sum()


def vicreg(Za, Zb, *, invariance=25.0, variance=25.0, covariance=1.0):
    """Variance, invariance and covariance (Bardes, Ponce & LeCun 2022, eq. 6)."""
    loss = invariance * F.mse_loss(Za, Zb)
    for Z in (Za, Zb):
        C = _covariance(_centred(Z), _centred(Z))
        deviations = torch.sqrt(C.diagonal() + 1e-4)
        off = (C * C).sum() - (C.diagonal() ** 2).sum()
        loss = loss + variance * (1 - deviations).clamp(min=0).mean()
        loss = loss + covariance * off / len(C)
    return loss


def barlow_twins(Za, Zb, *, redundancy=5e-3):
    """Cross-correlation towards the identity (Zbontar et al. 2021, eq. 1)."""
    A, B = _centred(Za), _centred(Zb)
    A = A / torch.sqrt((A * A).mean(dim=0) + EPS)
    B = B / torch.sqrt((B * B).mean(dim=0) + EPS)
    C = A.T @ B / len(A)
    on = C.diagonal()
    off = (C * C).sum() - (on * on).sum()
    return ((1 - on) ** 2).sum() + redundancy * off


def supcon(Z, labels, *, log_scale):
    """Supervised contrastive loss (Khosla et al. 2020, eq. 2, "out").

    Z has the rows of all views, one view below the other, and labels theirs. Rows
    without another of their class are anchors of nothing.
    """
    logits = similarities(Z, Z, log_scale)
    itself = _diagonal(Z)
    positives = (labels[:, None] == labels[None, :]) & ~itself
    log_share = logits - torch.logsumexp(
        logits.masked_fill(itself, -torch.inf), dim=1, keepdim=True
    )
    counts = positives.sum(dim=1)
    per_row = -(log_share * positives).sum(dim=1) / counts.clamp(min=1)
    return per_row.sum() / (counts > 0).sum().clamp(min=1)


def mse(output, target):
    """Mean squared error over rows and outputs."""
    return F.mse_loss(output, target)


def cross_entropy(output, target):
    """Cross-entropy of the softmax, target being numbers of classes."""
    return F.cross_entropy(output, target)


class Loss(NamedTuple):
    """What training has to know of a loss."""

    function: Callable
    kind: str  # what it compares: "pairs", "all" views at once, "labels", "target"
    learnable: Mapping[str, float] = {}  # scalars learned along, by their start
    positives: bool = False  # whether identical rows count as positives
    whitened: bool = False  # whether it needs more rows than components
    cosine: bool = False  # whether only directions count


# CLIP starts at a temperature of .07 (Radford et al. 2021), SigLIP at a scale of 10 and
# a bias of -10 (Zhai et al. 2023, section 3.2).
_CLIP = {"log_scale": 2.6592600369327783}

LOSSES = {
    "info_nce": Loss(info_nce, "pairs", _CLIP, positives=True, cosine=True),
    "siglip": Loss(
        siglip,
        "pairs",
        {"log_scale": 2.302585092994046, "bias": -10.0},
        positives=True,
        cosine=True,
    ),
    "triplet": Loss(triplet, "pairs", positives=True, cosine=True),
    "cca": Loss(cca, "pairs", whitened=True),
    "cca_ey": Loss(cca_ey, "all"),
    "vicreg": Loss(vicreg, "pairs"),
    "barlow_twins": Loss(barlow_twins, "pairs"),
    "supcon": Loss(supcon, "labels", _CLIP, cosine=True),
    "mse": Loss(mse, "target"),
    "cross_entropy": Loss(cross_entropy, "target"),
}


def get_loss(loss):
    """The entry of a name, or of a callable ``(Za, Zb) -> scalar``."""
    if callable(loss):
        return Loss(_checked(loss), "pairs")
    if loss not in LOSSES:
        raise ValueError(
            f"loss={loss!r} is unknown; choose one of {list(LOSSES)} or a function "
            "(Za, Zb) -> scalar."
        )
    return LOSSES[loss]


def _checked(function):
    """A loss of the user's, checked to give one number."""

    def checked(Za, Zb):
        value = function(Za, Zb)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            shape = getattr(value, "shape", None)
            found = type(value).__name__ if shape is None else f"shape {tuple(shape)}"
            raise ValueError(
                f"The loss {function!r} gave {found}; a torch tensor of one number is "
                "needed, such as the mean over the rows."
            )
        return value.reshape(())

    return checked


def over_pairs(function, encodings, present, positives=None, *, n_min=2, **learned):
    """Mean over the pairs of views of a loss of pairs, each on the rows that have both.

    Parameters
    ----------
    function : callable
        ``(Za, Zb[, positives], **learned) -> scalar``.
    encodings : list of tensor of shape (n_rows, n_components)
        Of each view; rows that lack it may hold anything finite.
    present : list of boolean tensor of shape (n_rows,), or None
        Which rows have each view; None where all rows have it.
    positives : callable or None
        ``(a, b, rows) -> matrix or None`` of views number a and b.
    n_min : int
        Pairs of views with fewer rows in common are left out.

    Returns
    -------
    tensor or None
        None where no pair of views has enough rows.
    """
    terms = []
    for a, b in combinations(range(len(encodings)), 2):
        rows = _both(present[a], present[b])
        Za, Zb = encodings[a], encodings[b]
        if rows is not None:
            Za, Zb = Za[rows], Zb[rows]
        if len(Za) < n_min:
            continue
        if positives is None:
            terms.append(function(Za, Zb, **learned))
        else:
            terms.append(function(Za, Zb, positives(a, b, rows), **learned))
    if len(terms) < 2:
        return terms[0] if terms else None
    return torch.stack(terms).mean()


def _both(first, second):
    if first is None or second is None:
        rows = second if first is None else first
    else:
        rows = first & second
    return None if rows is None else rows.nonzero()[:, 0]
