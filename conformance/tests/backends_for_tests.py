"""Backends with one fault each, which the tests run in processes of their own.

Every one answers `sigmoid`; the fault shows on some cases and the others must keep their verdict.
"""

import ctypes
import os
import sys
import time
from typing import Any, ClassVar

import numpy as np

from nnspec.reference import gru, primitives

# what a report must show as words
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> | `x` **b** \x1b[31m"


class Honest:
    """The reference's sigmoid, tanh and gru_step."""

    sigmoid = staticmethod(primitives.sigmoid)
    tanh = staticmethod(primitives.tanh)


class Raises(Honest):
    """Raises on three axes."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.ndim == 3:
            raise RuntimeError("three axes\nare too many")
        return primitives.sigmoid(x)


class WrongShape(Honest):
    """Flattens."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return primitives.sigmoid(x).reshape(-1)


class WrongDtype(Honest):
    """Computes everything in float64."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return primitives.sigmoid(x.astype(np.float64))


class GivesNan(Honest):
    """The textbook's quotient, NaN at 1e4."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        e = np.exp(x)
        return e / (1 + e)


class NoArray(Honest):
    """Returns words."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return "a half"


class ChangesInput(Honest):
    """Works in place."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        x *= 2
        return primitives.sigmoid(x / 2)


class Dies(Honest):
    """Ends its process on an empty array, as a failed assertion in C does."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0:
            os.abort()
        return primitives.sigmoid(x)


class Leaves(Honest):
    """Exits without a word on an empty array."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0:
            os._exit(0)
        return primitives.sigmoid(x)


class Prints(Honest):
    """Prints to standard output while it works."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        print("rubbish {", flush=True)
        os.write(1, b"more rubbish\n")
        return primitives.sigmoid(x)


class Sleeps(Honest):
    """Never comes back from an empty array."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0:
            time.sleep(3600)
        return primitives.sigmoid(x)


class SleepsAndGivesNan(GivesNan):
    """Never comes back from an empty array, and gives NaN elsewhere."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0:
            time.sleep(3600)
        return GivesNan.sigmoid(x)


class Segfaults(Honest):
    """Reads from address zero on an empty array."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0:
            ctypes.string_at(0)
        return primitives.sigmoid(x)


class Forks(Honest):
    """Leaves a sleeping child behind on an empty array."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size == 0 and os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        return primitives.sigmoid(x)


class Eats(Honest):
    """Takes ever more memory on an empty array."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        eaten = []
        while x.size == 0:
            eaten.append(np.ones(5_000_000))
            time.sleep(0.01)
        return primitives.sigmoid(x)


class NoBias:
    """A gru_step that has no biases, positional names in another order."""

    @staticmethod
    def gru_step(W: Any, W_r: Any, W_z: Any, x: Any, h_prev: Any) -> Any:
        return gru.gru_step(x, h_prev, W_z, W_r, W)


class Swapped:
    """The GRU with z for 1 - z: the same as a negated update gate."""

    @staticmethod
    def gru_step(x: Any, h_prev: Any, W_z: Any, W_r: Any, W: Any, **biases: Any) -> Any:
        if biases.get("b_z") is not None:
            biases["b_z"] = -biases["b_z"]
        return gru.gru_step(x, h_prev, -W_z, W_r, W, **biases)


class Empty:
    """Nothing of the spec."""


class FirstDay:
    """Nothing of the spec yet, and says so."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {"sigmoid": "not written yet"}


if "nnspec_test_broken_import" in os.environ.get("NNSPEC_TEST", ""):
    sys.exit("this module does not import")
