"""Questions to mappers: which components are real, and how well they are known."""

from skmeta.inspection._permutation import permutation_test_components
from skmeta.inspection._wilks import wilks_test

__all__ = ["permutation_test_components", "wilks_test"]
