"""What every test stands on: reproducible property tests, no screen."""

import os

from hypothesis import HealthCheck, settings

# Read when scipy is first imported: scikit-learn's array-API check is skipped without.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Set before anything imports matplotlib; subprocesses inherit it.
os.environ.setdefault("MPLBACKEND", "Agg")

# The same cases in every run, and no verdict from how busy the machine is: a failing
# run can be repeated. More cases: `pytest --hypothesis-profile=search`.
settings.register_profile(
    "skmeta",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("skmeta")
