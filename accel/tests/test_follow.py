"""Who follows the steps back: every gradient, whoever does which part, and whenever errors come."""

import importlib
import threading
from typing import Any

import numpy as np
import pytest

from nnspec.accel import jit, packed, recurrent, sums
from nnspec.accel.arrays import Array
from nnspec.accel.team import LINE

follow = importlib.import_module("nnspec.accel.follow")

compiled = pytest.mark.skipif(jit.config.DISABLE_JIT, reason="one thread goes through all")


class Case:
    """Errors of three gates, two of which meet h and all x, and room for what they leave."""

    def __init__(self, T: int, B: int, H: int, I: int) -> None:
        rng, w = np.random.default_rng(0), packed.width(np.float32)
        self.T, self.H, self.I, columns = T, H, I, -(-H // w) * w

        def normal(*shape: int) -> Array:
            return rng.normal(size=shape).astype(np.float32)

        self.da, self.h, self.X = normal(T, B, 3, columns), normal(T, B, H), normal(T, B, I)
        self.M = normal(-(-I // w), 3 * columns, w)
        self.dX = np.full((T, B, len(self.M) * w), np.nan, np.float32)
        self.dW = np.full((3, H, H + I), np.nan, np.float32)
        self.db = np.zeros((3, columns), np.float32)
        self.places = (0, 2, 0, 0), (0, 3, 0, H), (0, 0, 0, 0)
        self.dW[2, :, :H] = 0  # that gate does not meet h
        self.rests = tuple([np.full((3 * H, w), np.nan, np.float32) for _ in range(3)])
        self.progress, self.queues = recurrent.new_progress(T), follow.new_queues()

    def run(self, part: int) -> None:
        """One thread's part."""
        w = self.M.shape[2]
        room = np.empty(sums.SUM_BLOCK * w * -(-max(self.H, self.I) // w), np.float32)
        zeros = np.zeros(len(self.M) * w, np.float32)
        follow.follow(
            self.da, self.M, zeros, self.dX, (self.h, self.X, self.X), self.places,
            (self.dW,) * 3, self.rests, self.db, room, part, self.queues, self.progress,
        )  # fmt: skip

    def mark_all(self) -> None:
        """Say that all errors are there, the last steps' first."""
        for block in range((self.T - 1) // recurrent.AHEAD, -1, -1):
            self.progress[(1 + block) * LINE] = 1

    def check(self) -> None:
        """Compare with what NumPy says."""
        da = self.da.astype(float)
        of_units = da[:, :, :, : self.H]
        dW = np.zeros((3, self.H, self.H + self.I))
        dW[:2, :, : self.H] = np.einsum("tbgu,tbk->guk", of_units[:, :, :2], self.h)
        dW[:, :, self.H :] = np.einsum("tbgu,tbk->guk", of_units, self.X)
        dX = np.einsum("tbc,pcw->tbpw", da.reshape(*da.shape[:2], -1), self.M)
        pairs: list[tuple[Any, Any]] = [
            (self.dW, dW),
            (self.dX, dX.reshape(self.dX.shape)),
            (self.db, da.sum(axis=(0, 1))),
        ]
        for got, want in pairs:
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


@compiled
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (100, 1, 20, 7), (49, 9, 40, 33), (300, 2, 5, 70)])
@pytest.mark.parametrize("late", [False, True])
def test_two_threads(shape: tuple[int, int, int, int], late: bool) -> None:
    case = Case(*shape)
    other = threading.Thread(target=case.run, args=(1,), daemon=True)
    if not late:
        case.mark_all()
    other.start()
    if late:
        case.mark_all()
    case.run(0)
    other.join()
    case.check()


@compiled
def test_one_thread() -> None:
    case = Case(100, 3, 20, 7)
    case.mark_all()
    case.run(0)
    case.check()
