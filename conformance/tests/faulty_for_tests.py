"""Backends with planted faults, which fuzzing and the properties have to find by themselves."""

from typing import Any

import numpy as np

from nnspec.reference import attention, gru, primitives, rnn


class Honest:
    """The reference."""

    sigmoid = staticmethod(primitives.sigmoid)
    softmax = staticmethod(primitives.softmax)
    affine = staticmethod(primitives.affine)
    rnn_sequence = staticmethod(rnn.rnn_sequence)
    gru_sequence = staticmethod(gru.gru_sequence)
    soft_attention = staticmethod(attention.soft_attention)


class Clamped:
    """A sigmoid that stops at 18 on both sides."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return primitives.sigmoid(np.clip(x, -18, 18))


class NoMaximum:
    """A softmax that does not subtract the maximum."""

    @staticmethod
    def softmax(x: Any, *, axis: int = -1) -> Any:
        e = np.exp(x)
        return e / e.sum(axis=axis, keepdims=True)


class Remembers:
    """An RNN that goes on from the state of the call before."""

    kept: Any = None

    @classmethod
    def rnn_sequence(cls, X: Any, U: Any, W: Any, *, S_0: Any = None, **others: Any) -> Any:
        shape = (X.shape[1], W.shape[0])
        if S_0 is None and cls.kept is not None and cls.kept.shape == shape:
            S_0 = cls.kept.astype(X.dtype)
        S, cls.kept = rnn.rnn_sequence(X, U, W, S_0=S_0, **others)
        return S, cls.kept


class MixesRows:
    """An affine map that takes the mean over the batch away."""

    @staticmethod
    def affine(x: Any, W: Any, *, b: Any = None) -> Any:
        y = primitives.affine(x, W, b=b)
        return y - y.mean(axis=0, keepdims=True) if len(y) else y


class LooksAhead:
    """A GRU whose input at each step is centred over the whole sequence."""

    @staticmethod
    def gru_sequence(X: Any, W_z: Any, W_r: Any, W: Any, **others: Any) -> Any:
        centred = X - X.mean(axis=0, keepdims=True) if len(X) else X
        return gru.gru_sequence(centred, W_z, W_r, W, **others)


class DropsState:
    """An RNN that starts from zero whatever state it is given."""

    @staticmethod
    def rnn_sequence(X: Any, U: Any, W: Any, *, S_0: Any = None, **others: Any) -> Any:
        return rnn.rnn_sequence(X, U, W, **others)


class FirstCounts:
    """A soft attention that gives the first value twice its weight."""

    @staticmethod
    def soft_attention(scores: Any, values: Any, **others: Any) -> Any:
        bias = np.zeros_like(scores)
        bias[:1] = np.log(2)
        return attention.soft_attention(scores + bias, values, **others)


class ReadsOn:
    """A sigmoid that reads its input as if it were contiguous."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        base = x if x.base is None else x.base
        return primitives.sigmoid(base.reshape(-1)[: x.size].reshape(x.shape).astype(x.dtype))


class InPlace:
    """A sigmoid that works in place."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        x *= 2
        return primitives.sigmoid(x / 2)


class Dies:
    """A sigmoid that ends its process on a large argument."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        if x.size and abs(x).max() > 50:
            import os

            os.abort()
        return primitives.sigmoid(x)
