"""Write the model file of this release that every later release must load.

usage: python tools/make_golden_file.py [OUT]

Once per release, before its tag: ``tests/golden/VERSION.skmeta``, and beside it the
rows and what the model gives for them, VERSION.npz. Neither is ever written again.
"""

import sys
from pathlib import Path

import numpy as np

import skmeta

out = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden")
version = skmeta.__version__.partition(".dev")[0]
made = skmeta.datasets.make_paired_views(30, n_features=(3, 4), random_state=0).views
a, b = made.values()

retriever = skmeta.CrossModalRetriever(skmeta.CCAMapper(2), k=2)
retriever.fit(skmeta.Views(a=a, b=b)).set_gallery(b[:5], ids=list("vwxyz"))
distances, ids = retriever.kneighbors(a)
skmeta.save(retriever, out / f"{version}.skmeta")
np.savez_compressed(
    out / f"{version}.npz",
    a=a[:6],
    b=b[:6],
    weights=retriever.mapper_.weights_["a"],
    correlations=retriever.mapper_.correlations_,
    Z=retriever.mapper_.transform(skmeta.Views(a=a[:6], b=b[:6])),
    distances=distances[:6],
    ids=ids[:6],
)
