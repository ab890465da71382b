"""The way to `skmeta.nn` for estimators that can do without torch until they train."""

from skmeta.core.convnet import ConvNetwork
from skmeta.core.convnet import forward as convolve
from skmeta.core.network import Network, forward


def torch_backend(what, remedy=""):
    """`skmeta.nn.backend`, or an ImportError that says that ``what`` needs torch."""
    try:
        from skmeta.nn import backend
    except ImportError as error:
        if "torch" not in str(error):
            raise
        raise ImportError(
            f"{what} is trained by torch, which is not installed: "
            f'pip install "skmeta[torch]"{remedy}.'
        ) from error
    return backend


def encode(network, X):
    """Encodings (n_rows, n_components), float32, of rows (n_rows, n_features)."""
    if isinstance(network, Network):
        return forward(network, X)
    if isinstance(network, ConvNetwork):
        return convolve(network, X)
    return torch_backend("A module of torch").foreign_forward(network, X)
