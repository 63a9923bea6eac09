"""Kernels for other processors than this one: narrower vectors, and no fused multiply-add."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.accel.host import FEATURES
from nnspec.accel.jit import config

# what most other kernels are made of too: both kinds of products, sums of rows, steps
SCRIPT = """
from nnspec.accel.host import FUSED, VECTOR
from nnspec.conformance.suite import suite
from nnspec.conformance.runner import run_object
from nnspec.conformance.backends import load
names = "affine", "layer_norm", "scaled_dot_product_attention", "gru_sequence"
chosen = [v for v in suite().vectors if v.operation.name.removesuffix("_vjp") in names]
vectors = [v for v in chosen if not v.case.dtype.endswith("float16")]
done = run_object(load("accel"), vectors)
for found in done.results:
    if found.verdict != "pass":
        print(found.case, found.reason)
assert done.count("pass") == len(vectors) > 100
print(VECTOR, FUSED)
"""


@pytest.mark.skipif(config.DISABLE_JIT, reason="there is no machine code")
@pytest.mark.parametrize(
    ("features", "printed"), [("sse2,avx,avx2,fma", "32 True"), ("sse2", "16 False")]
)
def test_less_than_this_processor_has(tmp_path: Path, features: str, printed: str) -> None:
    """Numba is told to compile for so much, and the kernels follow it."""
    names = features.split(",")
    if not FEATURES.issuperset(names):
        pytest.skip(f"this processor could not run it: it has not all of {features}")
    told = {
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in names),
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == printed
