"""Writes the pickles beside this file: one matrix, one array and one graph, as NumPy and SciPy write them today.

    python make.py

needs numpy and scipy. The names say what is pickled, and by which protocol.
"""

import pathlib
import pickle
from collections import defaultdict

import numpy as np
import scipy.sparse as sp

HERE = pathlib.Path(__file__).parent
DENSE = np.array([[0, 0, 2, 0], [1, 0, 0, 0.5], [0, 0, 0, 0]], dtype=np.float32)
LABELS = np.array([[0, 1], [1, 0], [0, 1]], dtype=np.int32)
GRAPH = defaultdict(list, {0: [1, 2], 1: [0], 2: [0, 2]})

MADE = {
    "csr_matrix": sp.csr_matrix(DENSE),
    "csr_array": sp.csr_array(DENSE),
    "dense": DENSE,
    "fortran": np.asfortranarray(DENSE),
    "doubles": DENSE.astype(">f8"),
    "labels": LABELS,
    "bools": LABELS.astype(bool),
    "graph": GRAPH,
    "dict": dict(GRAPH),
}

for name, value in MADE.items():
    for protocol in range(6):
        (HERE / f"{name}.{protocol}.pickle").write_bytes(pickle.dumps(value, protocol))
