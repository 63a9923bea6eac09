"""Kernels on the suite's own inputs: awkward arrays, refusals, other modes of Numba.

That the results are right is for the suite to say (`test_the_suite_passes`); here the same inputs
come in other layouts, with wrong shapes, with NaN in the padding, and through Numba's other modes.
"""

import gc
import importlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnspec.accel.host import FEATURES
from nnspec.accel.jit import config
from nnspec.conformance import run
from nnspec.conformance.suite import Vector, as_outputs, suite
from nnspec.spec.loader import check_shapes

Array = npt.NDArray[Any]


def richest(vectors: list[Vector]) -> Vector:
    """The plain case with the most optional inputs: everything can go wrong in it."""
    finite = [v for v in vectors if not {"special", "zero-length", "long"} & set(v.case.flags)]
    return max(finite or vectors, key=lambda v: len(v.inputs))


def chosen() -> list[Vector]:
    groups = itertools.groupby(suite().vectors, key=lambda v: v.operation.name)
    return [
        richest([v for v in group if v.case.dtype == dtype])
        for _, found in groups
        for group in [list(found)]
        for dtype in ("float32", "float64")
    ]


# the kernels are of float32 and float64 alone
HALF = ("-f16", "-bf16")

each = pytest.mark.parametrize("vector", chosen(), ids=lambda v: v.id)
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def call(vector: Vector, inputs: dict[str, Array]) -> dict[str, Any]:
    module = importlib.import_module(f"nnspec.accel.{vector.operation.topic}")
    function = getattr(module, vector.operation.function)
    return dict(as_outputs(vector.operation, function(**inputs, **vector.case.attributes)))


def test_the_suite_passes() -> None:
    results = [found for found in run("accel").results if not found.case.endswith(HALF)]
    assert len(results) > 3000
    wrong = [f"{found.case}: {found.reason}" for found in results if found.verdict != "pass"]
    assert not wrong, "\n".join(wrong[:10])


@each
def test_any_layout_and_no_input_changed(vector: Vector) -> None:
    inputs = vector.inputs
    want = call(vector, inputs)

    def spread(x: Array) -> Array:
        return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x

    spread_out = {name: spread(x) for name, x in inputs.items()}
    fortran = {name: np.asfortranarray(x) if x.ndim else x for name, x in inputs.items()}
    frozen = {name: x.copy() for name, x in inputs.items()}
    swapped = {name: x.astype(x.dtype.newbyteorder()) for name, x in inputs.items()}
    for x in frozen.values():
        x.flags.writeable = False
    for form in (inputs, spread_out, fortran, frozen, swapped):
        before = {name: x.copy() for name, x in form.items()}
        got = call(vector, form)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name])
            value = np.asarray(got[name])
            assert not value.size or not any(np.shares_memory(value, x) for x in form.values())
        for name, x in form.items():
            np.testing.assert_array_equal(x, before[name])


@pytest.fixture
def few_objects() -> Iterator[None]:
    """The collector looks at what is new alone: frameworks' modules are many objects."""
    gc.freeze()
    yield
    gc.unfreeze()


@each
@pytest.mark.usefixtures("few_objects")
def test_no_input_is_kept(vector: Vector) -> None:
    inputs = {name: x.copy() for name, x in vector.inputs.items()}
    call(vector, inputs)
    gc.collect()
    before = {name: sys.getrefcount(x) for name, x in inputs.items()}
    call(vector, inputs)
    gc.collect()
    assert {name: sys.getrefcount(x) for name, x in inputs.items()} == before


@each
def test_a_wrong_shape_is_refused(vector: Vector) -> None:
    shapes = {name: x.shape for name, x in vector.inputs.items()}
    for name, x in vector.inputs.items():
        if not x.ndim:
            continue
        for wrong in (np.concatenate([x, x[..., :1]], axis=-1), x[np.newaxis]):
            if check_shapes(vector.operation, shapes | {name: wrong.shape}) is None:
                continue
            with pytest.raises(ValueError, match=r"shape|size|steps|length|one|dim|axis"):
                call(vector, vector.inputs | {name: wrong})


def test_other_dtypes_are_refused() -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    with pytest.raises(TypeError, match="float16"):
        primitives.sigmoid(np.zeros(3, np.float16))
    with pytest.raises(TypeError, match="float16"):
        primitives.affine(np.zeros((2, 3), np.float16), np.zeros((4, 3), np.float16))


@both
def test_far_out(dtype: Any) -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([1e4, -1e4, np.inf, -np.inf, np.nan, -0.0, 3 * tiny], dtype)
    sigmoid, tanh = primitives.sigmoid(x), primitives.tanh(x)
    np.testing.assert_array_equal(sigmoid, [1, 0, 1, 0, np.nan, 0.5, 0.5])
    np.testing.assert_array_equal(tanh, [1, -1, 1, -1, np.nan, 0, 3 * tiny])
    assert np.signbit(tanh[5])
    np.testing.assert_array_equal(primitives.softplus(x)[:5], [1e4, 0, np.inf, 0, np.nan])
    np.testing.assert_array_equal(primitives.relu(x), [1e4, 0, np.inf, 0, np.nan, 0, 3 * tiny])


@both
def test_softmax_rows_keep_to_themselves(dtype: Any) -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    nan, inf = np.nan, np.inf
    x = np.array([[1e4, -1e4, 0], [nan, 1, 2], [-inf, -inf, -inf], [inf, 0, 1], [0, 0, -inf]])
    want = np.array([[1, 0, 0], [nan] * 3, [nan] * 3, [nan] * 3, [0.5, 0.5, 0]])
    np.testing.assert_array_equal(primitives.softmax(x.astype(dtype)), want)
    np.testing.assert_array_equal(primitives.softmax(x.T.astype(dtype), axis=0), want.T)
    with pytest.raises(ValueError, match="no elements"):
        primitives.softmax(np.zeros((4, 0), dtype))


def with_lengths() -> list[Vector]:
    found = [v for v in chosen() if "lengths" in v.operation.optional]
    return [v for v in found if "lengths" in v.inputs and "X" in v.inputs]


@pytest.mark.parametrize("vector", with_lengths(), ids=lambda v: v.id)
def test_nothing_of_the_padding_is_used(vector: Vector) -> None:
    clean, lengths = dict(vector.inputs), vector.inputs["lengths"]
    X = clean["X"].copy()
    X[np.arange(len(X))[:, np.newaxis] >= lengths] = np.nan
    want, got = call(vector, clean), call(vector, clean | {"X": X})
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])


def test_long_sequences() -> None:
    gru = importlib.import_module("nnspec.accel.gru")
    rng = np.random.default_rng(0)
    X, h_0 = rng.normal(size=(10_000, 1, 4)), np.full((1, 6), 0.7)
    weights = rng.normal(size=(3, 6, 10))
    h, h_T = gru.gru_sequence(X, *weights, h_0=h_0, b_z=np.full(6, -1e4))
    np.testing.assert_array_equal(h_T, h_0)  # z = 0 holds the state to the last bit
    assert h.shape == (10_000, 1, 6)


SCRIPT = """
import sys
from nnspec.accel.host import FUSED, VECTOR
from nnspec.conformance.suite import suite
from nnspec.conformance.runner import run_object
from nnspec.conformance.backends import load
least, *names = sys.argv[1:]
chosen = [v for v in suite().vectors if "long" not in v.case.flags]
vectors = [v for v in chosen if not v.case.dtype.endswith("float16")]
if names:
    vectors = [v for v in vectors if v.operation.name.removesuffix("_vjp") in names]
done = run_object(load("accel"), vectors)
for found in done.results:
    if found.verdict != "pass":
        print(found.case, found.reason)
assert done.count("pass") == len(vectors) > int(least)
print(VECTOR, FUSED)
"""


def passes(mode: dict[str, str], least: int, *names: str) -> str:
    """Runs more than so many cases of the suite in a mode of Numba; VECTOR and FUSED there."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", SCRIPT, str(least), *names],
        env=os.environ | mode,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


# an index is checked in unoptimised code too, which is there sooner
@pytest.mark.parametrize(
    "mode",
    [{"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "0"}],
    ids=min,
)
def test_in_another_mode(mode: dict[str, str]) -> None:
    """The suite as plain Python, and with every index checked."""
    passes(mode, 3000)


@pytest.mark.skipif(config.DISABLE_JIT, reason="there is no machine code")
@pytest.mark.parametrize(
    ("features", "there"), [("sse2,avx,avx2,fma", "32 True"), ("sse2", "16 False")]
)
def test_for_a_processor_that_has_less(tmp_path: Path, features: str, there: str) -> None:
    """Narrower vectors, and no fused multiply-add, of what most other kernels are made of too."""
    names = features.split(",")
    if not FEATURES.issuperset(names):
        pytest.skip(f"this processor could not run it: it has not all of {features}")
    mode = {
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in names),
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    operations = "affine", "layer_norm", "scaled_dot_product_attention", "gru_sequence"
    assert passes(mode, 100, *operations) == there
