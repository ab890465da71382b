"""Random changes to training batches, which leave what is shown the same."""

import math

import torch
from torch.nn import functional as F

# Of images of some 30 by 30 pixels: what another hand, or another camera, would do.
DEGREES = 10.0  # largest rotation, either way
TRANSLATE = 0.08  # largest shift, as a share of a side
SCALE = 0.1  # largest growth, as a share; shrinks to 1 / (1 + SCALE)
SHEAR = 5.0  # largest shear, in degrees
# Standard deviation of noise; the rows are standardised.
NOISE = 0.1


class Affine:
    """Small rotations, shifts, scalings and shears of images, each row its own.

    Parameters
    ----------
    degrees : float, default=10.0
        Largest rotation, either way.
    translate : float, default=0.08
        Largest shift along each side, as a share of the side.
    scale : float, default=0.1
        Largest growth along each side, as a share; sides shrink to 1 / (1 + scale).
    shear : float, default=5.0
        Largest shear along the rows, in degrees.
    """

    def __init__(self, degrees=DEGREES, translate=TRANSLATE, scale=SCALE, shear=SHEAR):
        self.degrees, self.translate = degrees, translate
        self.scale, self.shear = scale, shear
        limits = vars(self)
        if not all(0 <= value < math.inf for value in limits.values()) or shear >= 90:
            raise ValueError(
                "Affine takes strengths from 0 on, and a shear under 90 degrees; got "
                f"{self!r}."
            )

    def __repr__(self):
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Affine({given})"

    def __call__(self, X, generator):
        """Images (n, channels, height, width), each changed by numbers of its own."""
        if X.ndim != 4:
            raise ValueError(
                "The augmentation 'affine' takes images, an array of shape (n_rows, "
                f"channels, height, width); got shape {tuple(X.shape)}. Reshape them, "
                "or choose 'noise'."
            )
        # On the host: the same numbers on every device.
        drawn = 2 * torch.rand(6, len(X), generator=generator) - 1  # in [-1, 1)
        sides = torch.tensor([[X.shape[3]], [X.shape[2]]])
        return warp(
            X,
            angles=torch.deg2rad(self.degrees * drawn[0]),
            shears=torch.deg2rad(self.shear * drawn[1]),
            scales=torch.exp(math.log1p(self.scale) * drawn[2:4]),
            shifts=self.translate * sides * drawn[4:6],
        )


def warp(X, *, angles, shears, scales, shifts):
    """Images sheared along their rows, scaled, turned about the centre, and shifted.

    Bilinear; what comes in from outside of an image is the nearest of its border.

    Parameters
    ----------
    X : tensor of shape (n, channels, height, width)
    angles : tensor of shape (n,)
        Counter-clockwise, in radians.
    shears : tensor of shape (n,)
        In radians.
    scales, shifts : tensor of shape (2, n)
        Along x and y; shifts in pixels to the right and down.
    """
    cos, sin, tan = torch.cos(angles), torch.sin(angles), torch.tan(shears)
    # y points down, so that [[cos, sin], [-sin, cos]] turns counter-clockwise. With
    # p' = R S K p + t of a pixel p, result p' is read at p = K^-1 S^-1 R^T (p' - t).
    along_y = torch.stack([sin, cos], dim=1) / scales[1, :, None]
    along_x = torch.stack([cos, -sin], dim=1) / scales[0, :, None]
    inverse = torch.stack([along_x - tan[:, None] * along_y, along_y], dim=1)
    start = -inverse @ shifts.T[:, :, None]  # (n, 2, 1)
    # `affine_grid` has coordinates in half sides.
    half = torch.tensor([X.shape[3] / 2, X.shape[2] / 2])
    inverse = inverse * half / half[:, None]
    theta = torch.cat([inverse, start / half[:, None]], dim=2)
    grid = F.affine_grid(theta.to(X.device, X.dtype), X.shape, align_corners=False)
    return F.grid_sample(X, grid, padding_mode="border", align_corners=False)


def noise(X, generator):
    """Rows of any shape, and normal noise of a tenth of a standard deviation."""
    drawn = torch.randn(X.shape, generator=generator)
    return X + NOISE * drawn.to(X.device, X.dtype)


AUGMENTATIONS = {"affine": Affine(), "noise": noise}


def get_augmentation(augment):
    """The entry of a name, or a callable ``(X, generator) -> X`` as it is."""
    if callable(augment):
        return augment
    if not isinstance(augment, str) or augment not in AUGMENTATIONS:
        raise ValueError(
            f"augment={augment!r} is unknown; choose one of {list(AUGMENTATIONS)} or a "
            "function (X, generator) -> X."
        )
    return AUGMENTATIONS[augment]


def augmented(parameter, function, X, generator):
    """A batch, changed; with rows or entries lost a loss would compare others."""
    result = function(X, generator)
    found = getattr(result, "shape", None)
    if not isinstance(result, torch.Tensor) or found != X.shape:
        found = type(result).__name__ if found is None else tuple(found)
        raise ValueError(
            f"{parameter} made {found} of a batch of shape {tuple(X.shape)}; a torch "
            "tensor of the same shape is needed."
        )
    return result.to(X.device, X.dtype)
