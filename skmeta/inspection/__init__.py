"""Questions to mappers: which components are real, and how well they are known."""

from skmeta.inspection._bootstrap import bootstrap_components
from skmeta.inspection._pairs import pairs_needed
from skmeta.inspection._permutation import permutation_test_components
from skmeta.inspection._redundancy import redundancy
from skmeta.inspection._wilks import wilks_test

__all__ = [
    "bootstrap_components",
    "pairs_needed",
    "permutation_test_components",
    "redundancy",
    "wilks_test",
]
