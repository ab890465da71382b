"""`CCAMapper.fit` on memory-mapped rows: resident memory does not grow with them.

``pytest tests/benchmarks/test_stream_memory.py`` writes float16 pairs of 768 and 512
columns to a temporary folder, fits them in a process of its own, and prints the largest
resident size of that process (pages of the files included) beside that of the input.
``SKMETA_STREAM_ROWS=200000,5000000`` names the numbers of rows.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

WIDTHS = {"image": 768, "text": 512}
ROWS = [
    int(n) for n in os.environ.get("SKMETA_STREAM_ROWS", "100000,400000").split(",")
]
LIMIT = 2 * 2**30

FIT = """
import json, sys, time
import numpy as np
from skmeta import CCAMapper, Views
folder, n = sys.argv[1], int(sys.argv[2])
files = {name: np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in sys.argv[3:]}
start = time.perf_counter()
mapper = CCAMapper(64).fit(Views(**{name: rows[:n] for name, rows in files.items()}))
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([peak * 1024, seconds, mapper.correlations_[:2].tolist()]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    rng = np.random.default_rng(0)
    mix = {name: rng.standard_normal((2, p)) / 2 for name, p in WIDTHS.items()}
    files = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.float16, (max(ROWS), p)
        )
        for name, p in WIDTHS.items()
    }
    for start in range(0, max(ROWS), 10_000):
        stop = min(start + 10_000, max(ROWS))
        z = rng.standard_normal((stop - start, 2))
        for name, p in WIDTHS.items():
            noise = rng.standard_normal((stop - start, p), dtype=np.float32)
            files[name][start:stop] = z @ mix[name] + noise
    for file in files.values():
        file.flush()
    del files
    yield folder
    for name in WIDTHS:
        (folder / f"{name}.npy").unlink()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_memory_of_a_fit_does_not_grow_with_the_rows(folder, capsys):
    peaks = []
    for n in ROWS:
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", FIT, str(folder), str(n), *WIDTHS],
            capture_output=True,
            text=True,
            check=True,
        )
        peak, seconds, correlations = json.loads(done.stdout)
        peaks.append(peak)
        size = n * sum(WIDTHS.values()) * 2
        with capsys.disabled():
            print(
                f"\n{n:>9,} rows, {size / 2**30:.2f} GB: fit {seconds:.1f} s, resident "
                f"{peak / 2**20:.0f} MB at most ({time.perf_counter() - begin:.0f} s "
                "with imports)"
            )
        assert correlations[1] > 0.9
    assert max(peaks) < LIMIT
    assert max(peaks) < min(peaks) + 64 * 2**20
