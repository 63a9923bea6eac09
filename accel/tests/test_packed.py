"""The packed product at every edge of its tiles, and the threads that share it."""

import importlib
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

backward = importlib.import_module("nnspec.accel.backward")
jit = importlib.import_module("nnspec.accel.jit")
packed_module = importlib.import_module("nnspec.accel.packed")
recurrent = importlib.import_module("nnspec.accel.recurrent")
threads = importlib.import_module("nnspec.accel.threads")

both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@jit.kernel  # type: ignore[untyped-decorator]
def _product(x: Any, M: Any, y: Any, transposed: bool) -> None:
    packed_module.multiply(x.T if transposed else x, M, y, 0, M.shape[0])


@jit.lean_kernel  # type: ignore[untyped-decorator]
def _pack(M: Any, W: Any) -> None:
    packed_module.pack_transposed(W, M)


def _panels(W: Any) -> Any:
    """Wᵀ, W (N, K), in panels."""
    w = packed_module.width(W.dtype)
    M = packed_module.aligned((-(-len(W) // w), W.shape[1], w), W.dtype)
    _pack(M, W)
    return M


@both
@pytest.mark.parametrize("K", [0, 1, 3, 33, 1030])
@pytest.mark.parametrize("N", [1, 16, 17, 33, 70, 300])
def test_every_edge(dtype: Any, K: int, N: int) -> None:
    rng = np.random.default_rng(K * 100 + N)
    W = rng.integers(-4, 5, (N, K)).astype(dtype)
    M = _panels(W)
    for B in (0, 1, 2, 3, 5, 8, 15, 131):
        x = rng.integers(-4, 5, (B, K)).astype(dtype)
        y = packed_module.aligned((B, M.shape[0] * M.shape[2]), dtype)
        y[:, :N] = 1
        want = 1 + x @ W.T  # small integers: exact in either dtype
        for transposed in (False, True):
            given = np.ascontiguousarray(x.T) if transposed else x
            got = y.copy()
            _product(given, M, got, transposed)
            np.testing.assert_array_equal(got[:, :N], want)
            np.testing.assert_array_equal(got[:, N:], 0)


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="then the sums are NumPy's")
@pytest.mark.parametrize("rows", [7, 8, 100])
def test_a_long_sum_keeps_its_digits(rows: int) -> None:
    rng = np.random.default_rng(2048)
    x, W = (rng.normal(size=(n, 2048)).astype("f") for n in (rows, 70))
    M = _panels(W)
    y = packed_module.aligned((rows, M.shape[0] * M.shape[2]), np.float32)
    _product(x, M, y, False)
    want, size = x.astype("d") @ W.T.astype("d"), np.abs(x).astype("d") @ np.abs(W.T).astype("d")
    # one sum of 2048 terms after the other would be off by 1.5 of these units
    assert np.max(np.abs(y[:, :70] - want) / size) < 2.0**-24


# by columns, by rows, one thread for the steps with another for the inputs' part ahead, and by rows
# whose gradients each thread sums by itself, many steps of few or few steps of many
SHARED = (80, 1, 40, 300), (40, 37, 40, 130), (500, 1, 120, 50), (70, 61, 45, 40), (20, 301, 64, 70)
LAYERS = {"rnn.rnn": 1, "gru.gru": 3, "gru.gru_reset_after": 3, "lstm.lstm": 4}


def _run(layer: str, sizes: tuple[int, int, int, int], count: int, seed: int = 3) -> list[Any]:
    """The states and the gradients of a layer, by so many threads."""
    T, B, I, H = sizes
    topic, name = layer.split(".")
    module = importlib.import_module(f"nnspec.accel.{topic}")
    rng = np.random.default_rng(seed)
    X, lengths = rng.normal(size=(T, B, I)), rng.integers(T // 2, T + 1, B)
    weights = list(rng.normal(size=(LAYERS[layer], H, H + I)) / H)
    if layer == "rnn.rnn":
        weights = [weights[0][:, :I], weights[0][:, I:]]
    threads.limit(count)
    try:
        states = getattr(module, f"{name}_sequence")(X, *weights, lengths=lengths)
        gradients = getattr(module, f"{name}_sequence_vjp")(X, *weights, *states, lengths=lengths)
    finally:
        threads.limit(None)
    return [*states, *gradients.values()]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sizes", SHARED)
def test_the_same_result_with_any_number_of_threads(
    layer: str, sizes: tuple[int, int, int, int]
) -> None:
    alone = _run(layer, sizes, 1)
    for count in (2, 3):
        for one, two in zip(alone, _run(layer, sizes, count), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sizes", [(1, 1, 20, 20), (3, 2, 32, 32)])
def test_a_result_outlives_the_next_call(layer: str, sizes: tuple[int, int, int, int]) -> None:
    first = _run(layer, sizes, 1)
    copies = [array.copy() for array in first]
    _run(layer, sizes, 1, seed=4)
    for result, copy in zip(first, copies, strict=True):
        np.testing.assert_array_equal(result, copy)


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
@pytest.mark.parametrize("layer", LAYERS)
def test_the_inputs_part_ahead_or_late(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_team, rolls = threads.in_team, []
    alone = _run(layer, SHARED[2], 1)

    def watch(count: int, function: Any, *arguments: Any) -> None:
        if count > 1 and arguments[0].dtype == np.int64:  # not of the gradients
            rolls.append(arguments[0])
        in_team(count, function, *arguments)

    def nobody_comes(count: int, function: Any, *arguments: Any) -> None:
        in_team(1, function, *arguments)

    for other in (watch, nobody_comes):
        monkeypatch.setattr(threads, "in_team", other)
        for one, two in zip(alone, _run(layer, SHARED[2], 2), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-12)
    assert len(rolls) == 2  # of the states, and of the states for the gradients
    for progress in rolls:
        np.testing.assert_array_equal(progress[recurrent.LINE :: recurrent.LINE], 1)


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradients_close_behind_or_late(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    follow, calls = backward.follow, []
    alone = _run(layer, SHARED[2], 1)

    def count_and_do(*arguments: Any) -> None:
        calls.append(arguments)
        follow(*arguments)

    def by_the_caller(*arguments: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            follow(*arguments)

    for other in (count_and_do, by_the_caller):  # the second has nobody who follows
        monkeypatch.setattr(backward, "follow", other)
        for one, two in zip(alone, _run(layer, SHARED[2], 2), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-12)
    assert len(calls) == 2
    queues, progress = calls[0][-2:]
    blocks = -(-SHARED[2][0] // recurrent.AHEAD)
    np.testing.assert_array_equal(progress[recurrent.LINE :: recurrent.LINE][:blocks], 1)
    np.testing.assert_array_equal(queues[:: recurrent.LINE], 2 * blocks)  # all, and nobody has one


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
@pytest.mark.parametrize("sizes", SHARED[3:])
def test_threads_sum_the_gradients_of_their_own_rows(
    sizes: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients, rolls = backward._gradients_of_own, []

    def note_and_do(*arguments: Any) -> None:
        gradients(*arguments)
        rolls.append(arguments[-3])

    monkeypatch.setattr(backward, "_gradients_of_own", note_and_do)
    _run("gru.gru", sizes, 2)
    (roll,) = rolls
    units = min(2 * recurrent.UNITS, sizes[1] // recurrent.UNIT_ROWS)
    # of each thread's all, and then none
    assert (roll[:: recurrent.LINE] > units // 2).all()


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
def test_an_interrupt_leaves_nobody_waiting() -> None:
    T, B, I, H = 500, 1, 120, 50
    w = packed_module.width(np.float64)
    rows, M = np.zeros((T, B, I)), np.zeros((-(-I // w), 64, w))
    da, total = np.zeros((T, B, 1, 64)), np.zeros((1, H, I))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    threads.limit(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            backward.go_back(
                interrupted, H * H, 2, da, rows, M,
                ((0, 1, 0, 0), (0, 1, 0, 0), (0, 1, 0, 0)), (rows,) * 3, (total,) * 3,
            )  # fmt: skip
    finally:
        threads.limit(None)


def test_calls_from_many_threads_at_once() -> None:
    gru = importlib.import_module("nnspec.accel.gru")
    rng = np.random.default_rng(4)
    X, weights = rng.normal(size=(50, 2, 30)), rng.normal(size=(3, 300, 330)) / 300
    want, _ = gru.gru_sequence(X, *weights)
    found = []

    def work() -> None:
        for _ in range(5):
            found.append(gru.gru_sequence(X, *weights)[0])

    running = [threading.Thread(target=work) for _ in range(4)]
    for each in running:
        each.start()
    for each in running:
        each.join(60)
    assert len(found) == 20
    for got in found:
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
def test_every_part_is_done_once_awake_or_asleep() -> None:
    done: list[tuple[int, int]] = []

    def work(index: int, count: int) -> None:
        done.append((index, count))

    for count in (2, 3, 2, 4, 1, 3):
        for pause in (0, 0, 0.001, 0.05):  # a worker sleeps after some milliseconds
            time.sleep(pause)
            done.clear()
            threads.together(count, work)
            assert sorted(done) == [(index, count) for index in range(count)]


@pytest.mark.skipif(jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread")
@pytest.mark.parametrize("where", [0, 1])
def test_an_error_in_any_part_reaches_the_caller(where: int) -> None:
    done = []

    def work(index: int, count: int) -> None:
        if index == where:
            raise ZeroDivisionError("here")
        done.append(index)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="here"):
            threads.together(2, work)
    assert done == [1 - where] * 3


FORKED = """
import os
import numpy as np
from nnspec.accel import gru, threads
threads.limit(2)
X, weights = np.ones((50, 2, 30)), np.ones((3, 300, 330)) / 300
gru.gru_sequence(X, *weights)
child = os.fork()
if child == 0:
    gru.gru_sequence(X, *weights)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=120, check=False)
    assert done.returncode == 0


def test_at_least_one_thread() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        threads.limit(0)


def test_prepared_weights_give_the_same() -> None:
    rng = np.random.default_rng(5)
    X, h_0 = rng.normal(size=(6, 3, 4)).astype("f"), rng.normal(size=(3, 5)).astype("f")
    lengths = np.array([6, 0, 3])
    for topic, count, names in (
        ("gru", 3, ("gru_sequence", "gru_reset_after_sequence")),
        ("lstm", 4, ("lstm_sequence",)),
    ):
        module = importlib.import_module(f"nnspec.accel.{topic}")
        weights = rng.normal(size=(count, 5, 9)).astype("f")
        for name in names:
            want = getattr(module, name)(X, *weights, h_0=h_0, lengths=lengths)
            got = getattr(module, f"{name}_of")(*weights)(X, h_0=h_0, lengths=lengths)
            for one, two in zip(want, got, strict=True):
                np.testing.assert_array_equal(two, one)
    rnn = importlib.import_module("nnspec.accel.rnn")
    U, W = rng.normal(size=(5, 4)).astype("f"), rng.normal(size=(5, 5)).astype("f")
    want = rnn.rnn_sequence(X, U, W, S_0=h_0, activation="sigmoid")
    got = rnn.rnn_sequence_of(U, W, activation="sigmoid")(X, S_0=h_0)
    for one, two in zip(want, got, strict=True):
        np.testing.assert_array_equal(two, one)
    with pytest.raises(ValueError, match="X has shape"):
        rnn.rnn_sequence_of(U, W)(X[..., :3])
    with pytest.raises(ValueError, match="S_0 has shape"):
        rnn.rnn_sequence_of(U, W)(X, S_0=h_0[:1])
    with pytest.raises(TypeError, match="the weights are float32, and X is float64"):
        rnn.rnn_sequence_of(U, W)(X.astype(np.float64))


@both
@pytest.mark.parametrize("sizes", [(1, 3, 5), (30, 0, 40), (7, 600, 70), (25, 1100, 300)])
def test_a_layer_packed_once(dtype: Any, sizes: tuple[int, int, int]) -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    (B, I, O), rng = sizes, np.random.default_rng(6)
    W, b = rng.integers(-4, 5, (O, I)).astype(dtype), rng.integers(-4, 5, O).astype(dtype)
    biased, plain = primitives.affine_of(W, b=b), primitives.affine_of(W)
    want_W, want_b = W.copy(), b.copy()
    W[:], b[:] = 0, 0  # what was packed stays
    try:
        for count in (1, 2, 3):
            threads.limit(count)
            for rows in (0, 1, B, 200):
                x = rng.integers(-4, 5, (rows, I)).astype(dtype)
                # small integers: exact in either dtype
                np.testing.assert_array_equal(biased(x), x @ want_W.T + want_b)
                np.testing.assert_array_equal(plain(np.asfortranarray(x)), x @ want_W.T)
    finally:
        threads.limit(None)
    with pytest.raises(ValueError, match="x has shape"):
        plain(np.zeros((2, I + 1), dtype))
    other = np.float32 if dtype == np.float64 else np.float64
    with pytest.raises(TypeError, match=r"the weights are float.., and x is float.."):
        plain(np.zeros((2, I), other))
