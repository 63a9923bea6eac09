"""Machine translation with attention as kernels: the weights between two sequences of states.

The attentional state does not enter the recurrence, so that, where the words are given, the
decoder is a sequence like the encoder, and attention and output are one batch over all times.
"""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, whole_or
from nnspec.accel.dense import add_scaled, layer, layer_vjp, named
from nnspec.accel.jit import kernel
from nnspec.accel.primitives import (
    cross_entropy,
    cross_entropy_vjp,
    embedding,
    embedding_vjp,
    log_softmax,
)
from nnspec.accel.reductions import dot
from nnspec.accel.rnn import rnn_sequence, rnn_sequence_vjp
from nnspec.accel.scalar import IDENTITY, TANH, ZERO
from nnspec.accel.softmaxes import softmax_row

WEIGHTS = {
    "E_s": "V I",
    "E_t": "Z J",
    "U_e": "H I",
    "W_e": "H H",
    "U_d": "H J",
    "W_d": "H H",
    "W_c": "K H+H",
    "W_y": "Z K",
    "b_e": "H",
    "b_d": "H",
    "b_c": "K",
    "b_y": "Z",
}


@kernel
def _attention(h_d: Array, h_e: Array, lengths: Array) -> Array:  # (N, B, H), (T, B, H), (B,)
    N, B, _ = h_d.shape
    T = h_e.shape[0]
    a = np.zeros((N, T, B), h_d.dtype)
    row, softened = np.empty(T, h_d.dtype), np.empty(T, h_d.dtype)
    for t in range(N):
        for i in range(B):
            L = lengths[i]
            for j in range(L):
                row[j] = dot(h_e[j, i], h_d[t, i])
            softmax_row(softened[:L], row[:L])
            for j in range(L):
                a[t, j, i] = softened[j]
    return a


@kernel
def _attention_vjp(
    h_d: Array,  # (N, B, H)
    h_e: Array,  # (T, B, H)
    a: Array,  # (N, T, B)
    lengths: Array,  # (B,)
    da: Array,  # (N, T, B)
) -> tuple[Array, Array]:
    dh_d = np.zeros_like(h_d)
    dh_e = np.zeros_like(h_e)
    for t in range(h_d.shape[0]):
        for i in range(h_d.shape[1]):
            total = h_d.dtype.type(ZERO)
            for j in range(lengths[i]):
                total += a[t, j, i] * da[t, j, i]
            for j in range(lengths[i]):
                ds = a[t, j, i] * (da[t, j, i] - total)
                add_scaled(dh_d[t, i], ds, h_e[j, i])
                add_scaled(dh_e[j, i], ds, h_d[t, i])
    return dh_d, dh_e


@kernel
def _context(a: Array, h_e: Array, lengths: Array) -> Array:  # to (N, B, H)
    c = np.zeros((a.shape[0], h_e.shape[1], h_e.shape[2]), a.dtype)
    for t in range(a.shape[0]):
        for i in range(h_e.shape[1]):
            for j in range(lengths[i]):
                add_scaled(c[t, i], a[t, j, i], h_e[j, i])
    return c


@kernel
def _context_vjp(a: Array, h_e: Array, lengths: Array, dc: Array) -> tuple[Array, Array]:
    da = np.zeros_like(a)
    dh_e = np.zeros_like(h_e)
    for t in range(a.shape[0]):
        for i in range(h_e.shape[1]):
            for j in range(lengths[i]):
                da[t, j, i] = dot(h_e[j, i], dc[t, i])
                add_scaled(dh_e[j, i], a[t, j, i], dc[t, i])
    return da, dh_e


def _within(words: Any, lengths: Any, other: int, name: str) -> tuple[Array, Array, Array]:
    """The words with `other` beyond each length, the lengths, and (T, B) bool of those within."""
    words = np.asarray(words)
    if words.ndim != 2:
        raise ValueError(f"{name} has shape {words.shape}, wanted two sizes: times, batch")
    if words.dtype.kind not in "iu" and words.size:
        raise TypeError(f"{name} has numbers of words, not {words.dtype}")
    lengths = whole_or(lengths, *words.shape)
    valid = np.arange(len(words))[:, np.newaxis] < lengths
    return np.where(valid, words, other).astype(np.int64), lengths, valid


def _flat(x: Array) -> Array:
    """All times as one batch: (N, B, K) as (N * B, K)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _outputs(
    h_d: Array, h_e: Array, W_c: Array, W_y: Array, b_c: Array, b_y: Array, lengths: Array
) -> tuple[Array, Array, Array, Array]:
    """(logits, a, [c; h], h~), the last two with all times as one batch."""
    a = _attention(h_d, h_e, lengths)
    ch = np.concatenate([_flat(_context(a, h_e, lengths)), _flat(h_d)], axis=-1)
    h_tilde = layer(ch, W_c, b_c, TANH)
    logits = layer(h_tilde, W_y, b_y, IDENTITY)
    return logits.reshape(*h_d.shape[:2], len(W_y)), a, ch, h_tilde


def _outputs_vjp(
    h_d: Array,
    h_e: Array,
    W_c: Array,
    W_y: Array,
    kept: tuple[Array, Array, Array],  # a, [c; h], h~ from `_outputs`
    lengths: Array,
    dlogits: Array,  # (N, B, Z)
    da: Array,  # (N, T, B)
) -> tuple[Array, Array, dict[str, Array]]:
    """(dh_d, dh_e, the gradients of the weights and biases)."""
    a, ch, h_tilde = kept
    flat = _flat(dlogits)
    dh_tilde, dW_y, db_y = layer_vjp(h_tilde, W_y, flat, flat, IDENTITY)
    dch, dW_c, db_c = layer_vjp(ch, W_c, h_tilde, dh_tilde, TANH)
    H = h_d.shape[2]
    dc = np.ascontiguousarray(dch[:, :H]).reshape(h_d.shape)
    da_c, dh_e = _context_vjp(a, h_e, lengths, dc)
    dh_d, dh_e_a = _attention_vjp(h_d, h_e, a, lengths, da + da_c)
    dh_d += dch[:, H:].reshape(h_d.shape)
    d = {"dW_c": dW_c, "dW_y": dW_y, "db_c": db_c, "db_y": db_y}
    return dh_d, dh_e + dh_e_a, d


def translation_attention(
    h_d: Array,  # (N, B, H), the decoder's states
    h_e: Array,  # (T, B, H), the encoder's
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> Array:
    """a(t, j), (N, T, B), 0 beyond the source's length."""
    h_d, h_e = arrays(h_d=(h_d, "N B H"), h_e=(h_e, "T B H"))
    return _attention(h_d, h_e, whole_or(lengths, *h_e.shape[:2]))


def translation_attention_vjp(
    h_d: Array,
    h_e: Array,
    da: Array,  # (N, T, B)
    *,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """The weights' VJP gives the scores', the dot product's the states'."""
    h_d, h_e, da = arrays(h_d=(h_d, "N B H"), h_e=(h_e, "T B H"), da=(da, "N T B"))
    whole = whole_or(lengths, *h_e.shape[:2])
    dh_d, dh_e = _attention_vjp(h_d, h_e, _attention(h_d, h_e, whole), whole, da)
    return {"dh_d": dh_d, "dh_e": dh_e}


def translation_context(
    a: Array,  # (N, T, B)
    h_e: Array,  # (T, B, H)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> Array:
    """c_t = sum_j a(t, j) h_j, (N, B, H)."""
    a, h_e = arrays(a=(a, "N T B"), h_e=(h_e, "T B H"))
    return _context(a, h_e, whole_or(lengths, *h_e.shape[:2]))


def translation_context_vjp(
    a: Array,
    h_e: Array,
    dc: Array,  # (N, B, H)
    *,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """da(t, j) = dc_t · h_j, dh_j = sum over t of a(t, j) dc_t."""
    a, h_e, dc = arrays(a=(a, "N T B"), h_e=(h_e, "T B H"), dc=(dc, "N B H"))
    da, dh_e = _context_vjp(a, h_e, whole_or(lengths, *h_e.shape[:2]), dc)
    return {"da": da, "dh_e": dh_e}


def translation_attentional_state(
    c: Array,  # (B, H)
    h: Array,  # (B, H)
    W_c: Array,  # (K, H + H)
    *,
    b_c: Array | None = None,  # (K,)
) -> Array:
    """tanh(W_c [c_t; h_t] + b_c), (B, K)."""
    c, h, W_c, b_c = arrays(c=(c, "B H"), h=(h, "B H"), W_c=(W_c, "K H+H"), b_c=(b_c, "K"))
    return layer(np.concatenate([c, h], axis=-1), W_c, b_c, TANH)


def translation_attentional_state_vjp(
    c: Array,
    h: Array,
    W_c: Array,
    dh_tilde: Array,  # (B, K)
    *,
    b_c: Array | None = None,
) -> dict[str, Array]:
    """A layer's VJP, its input taken apart into c and h."""
    given = b_c
    c, h, W_c, dh_tilde, b_c = arrays(
        c=(c, "B H"),
        h=(h, "B H"),
        W_c=(W_c, "K H+H"),
        dh_tilde=(dh_tilde, "B K"),
        b_c=(b_c, "K"),
    )
    ch, H = np.concatenate([c, h], axis=-1), c.shape[1]
    dch, dW_c, db_c = layer_vjp(ch, W_c, layer(ch, W_c, b_c, TANH), dh_tilde, TANH)
    d = {"dc": dch[:, :H].copy(), "dh": dch[:, H:].copy(), "dW_c": dW_c}
    return d | named(db_c=(db_c, given))


def translation_step(
    x: Array,  # (B, J), the embedded word before
    h_prev: Array,  # (B, H)
    h_e: Array,  # (T, B, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    W_c: Array,  # (K, H + H)
    W_y: Array,  # (Z, K)
    *,
    b_d: Array | None = None,  # (H,)
    b_c: Array | None = None,  # (K,)
    b_y: Array | None = None,  # (Z,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """The word's scores (B, Z), the next state (B, H) and a (T, B)."""
    x, h_prev, h_e, U_d, W_d, W_c, W_y, b_d, b_c, b_y = arrays(
        x=(x, "B J"),
        h_prev=(h_prev, "B H"),
        h_e=(h_e, "T B H"),
        U_d=(U_d, "H J"),
        W_d=(W_d, "H H"),
        W_c=(W_c, "K H+H"),
        W_y=(W_y, "Z K"),
        b_d=(b_d, "H"),
        b_c=(b_c, "K"),
        b_y=(b_y, "Z"),
    )
    whole = whole_or(lengths, *h_e.shape[:2])
    h, h_T = rnn_sequence(x[np.newaxis], U_d, W_d, S_0=h_prev, b=b_d)
    logits, a, _, _ = _outputs(h, h_e, W_c, W_y, b_c, b_y, whole)
    return logits[0], h_T, a[0]


def translation_step_vjp(
    x: Array,
    h_prev: Array,
    h_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    dlogits: Array,  # (B, Z)
    dh: Array,  # (B, H)
    da: Array,  # (T, B)
    *,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """The state's errors: its own, as a query, and in the attentional state."""
    given_b_d, given_b_c, given_b_y = b_d, b_c, b_y
    x, h_prev, h_e, U_d, W_d, W_c, W_y, dlogits, dh, da, b_d, b_c, b_y = arrays(
        x=(x, "B J"),
        h_prev=(h_prev, "B H"),
        h_e=(h_e, "T B H"),
        U_d=(U_d, "H J"),
        W_d=(W_d, "H H"),
        W_c=(W_c, "K H+H"),
        W_y=(W_y, "Z K"),
        dlogits=(dlogits, "B Z"),
        dh=(dh, "B H"),
        da=(da, "T B"),
        b_d=(b_d, "H"),
        b_c=(b_c, "K"),
        b_y=(b_y, "Z"),
    )
    whole = whole_or(lengths, *h_e.shape[:2])
    X = x[np.newaxis]
    h, _ = rnn_sequence(X, U_d, W_d, S_0=h_prev, b=b_d)
    _, *kept = _outputs(h, h_e, W_c, W_y, b_c, b_y, whole)
    dh_d, dh_e, d = _outputs_vjp(
        h, h_e, W_c, W_y, (kept[0], kept[1], kept[2]), whole, dlogits[np.newaxis], da[np.newaxis]
    )
    s = rnn_sequence_vjp(X, U_d, W_d, dh_d, dh, S_0=h_prev, b=b_d)
    biases = named(
        db_d=(s["db"], given_b_d), db_c=(d["db_c"], given_b_c), db_y=(d["db_y"], given_b_y)
    )
    state = {"dx": s["dX"][0], "dh_prev": s["dS_0"], "dU_d": s["dU"], "dW_d": s["dW"]}
    return state | {"dh_e": dh_e, "dW_c": d["dW_c"], "dW_y": d["dW_y"]} | biases


class _Run:
    """A forward pass with the words given, and all that its VJP needs."""

    def __init__(
        self,
        source: Any,
        target: Any,
        weights: dict[str, Any],
        lengths: Any,
        target_lengths: Any,
        start: int,
    ):
        made = arrays(**{name: (w, WEIGHTS[name]) for name, w in weights.items()})
        self.w = w = dict(zip(weights, made, strict=True))
        self.source, self.lengths, _ = _within(source, lengths, 0, "source")
        self.target, self.target_lengths, self.valid = _within(target, target_lengths, 0, "target")
        B, N = self.source.shape[1], len(self.target)
        if self.target.shape[1] != B:
            raise ValueError(f"target has shape {self.target.shape}, wanted (N B) with B = {B}")
        before = np.concatenate([np.full((1, B), start), self.target])[:N]
        self.before = np.where(self.valid, before, start)
        self.X_e = embedding(self.source, w["E_s"])
        self.X_d = embedding(self.before, w["E_t"])
        self.h_e, self.h_0 = rnn_sequence(
            self.X_e, w["U_e"], w["W_e"], b=w["b_e"], lengths=self.lengths
        )
        self.h_d, self.h_N = rnn_sequence(
            self.X_d, w["U_d"], w["W_d"], S_0=self.h_0, b=w["b_d"], lengths=self.target_lengths
        )
        outputs = (w["W_c"], w["W_y"], w["b_c"], w["b_y"], self.lengths)
        logits, a, ch, h_tilde = _outputs(self.h_d, self.h_e, *outputs)
        self.kept = a, ch, h_tilde
        self.logits = np.where(self.valid[..., np.newaxis], logits, 0)
        self.a = np.where(self.valid[:, np.newaxis], a, 0)

    def vjp(self, dlogits: Array, da: Array, weights: dict[str, Any]) -> dict[str, Array]:
        """The gradients of all weights that were given."""
        w = self.w
        dlogits = np.where(self.valid[..., np.newaxis], dlogits, 0)
        da = np.where(self.valid[:, np.newaxis], da, 0)
        dh_d, dh_e, d = _outputs_vjp(
            self.h_d, self.h_e, w["W_c"], w["W_y"], self.kept, self.lengths, dlogits, da
        )
        decoder = rnn_sequence_vjp(
            self.X_d,
            w["U_d"],
            w["W_d"],
            dh_d,
            np.zeros_like(self.h_N),
            S_0=self.h_0,
            b=w["b_d"],
            lengths=self.target_lengths,
        )
        encoder = rnn_sequence_vjp(
            self.X_e, w["U_e"], w["W_e"], dh_e, decoder["dS_0"], b=w["b_e"], lengths=self.lengths
        )
        all_of_them = d | {
            "dE_s": embedding_vjp(self.source, w["E_s"], encoder["dX"])["dE"],
            "dE_t": embedding_vjp(self.before, w["E_t"], decoder["dX"])["dE"],
            "dU_e": encoder["dU"],
            "dW_e": encoder["dW"],
            "db_e": encoder["db"],
            "dU_d": decoder["dU"],
            "dW_d": decoder["dW"],
            "db_d": decoder["db"],
        }
        return {f"d{name}": all_of_them[f"d{name}"] for name, v in weights.items() if v is not None}


def translation_forward(
    source: Array,  # (T, B), integers in 0 … V - 1
    target: Array,  # (N, B), integers in 0 … Z - 1
    E_s: Array,  # (V, I)
    E_t: Array,  # (Z, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    W_c: Array,  # (K, H + H)
    W_y: Array,  # (Z, K)
    *,
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    b_c: Array | None = None,  # (K,)
    b_y: Array | None = None,  # (Z,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    target_lengths: Array | None = None,  # (B,), integers in 0 … N
    start: int = 0,
) -> tuple[Array, Array]:
    """The scores of every target word (N, B, Z), and a (N, T, B)."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    run = _Run(source, target, weights, lengths, target_lengths, start)
    return run.logits, run.a


def translation_forward_vjp(
    source: Array,
    target: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    dlogits: Array,  # (N, B, Z)
    da: Array,  # (N, T, B)
    *,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    target_lengths: Array | None = None,
    start: int = 0,
) -> dict[str, Array]:
    """Backpropagation through the decoder's time, then through the encoder's."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    run = _Run(source, target, weights, lengths, target_lengths, start)
    run_like = {"dlogits": (dlogits, run.logits), "da": (da, run.a)}
    ready = []
    for name, (value, like) in run_like.items():
        value = np.asarray(value, dtype=like.dtype)
        if value.shape != like.shape:
            raise ValueError(f"{name} has shape {value.shape}, wanted {like.shape}")
        ready.append(value)
    return run.vjp(ready[0], ready[1], weights)


def translation_loss(
    source: Array,  # (T, B), integers in 0 … V - 1
    target: Array,  # (N, B), integers in 0 … Z - 1
    E_s: Array,  # (V, I)
    E_t: Array,  # (Z, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    W_c: Array,  # (K, H + H)
    W_y: Array,  # (Z, K)
    *,
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    b_c: Array | None = None,  # (K,)
    b_y: Array | None = None,  # (Z,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    target_lengths: Array | None = None,  # (B,), integers in 0 … N
    start: int = 0,
) -> Array:
    """-log p(target | source) for each word, the mean over all words of the batch."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    run = _Run(source, target, weights, lengths, target_lengths, start)
    return cross_entropy(run.logits[run.valid], run.target[run.valid])


def translation_loss_vjp(
    source: Array,
    target: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    dloss: Array,  # ()
    *,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    target_lengths: Array | None = None,
    start: int = 0,
) -> dict[str, Array]:
    """dlogits = dloss (softmax(logits) - onehot(target)) / M, M the number of words."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    dloss = np.asarray(dloss)
    if dloss.shape != ():
        raise ValueError(f"dloss has shape {dloss.shape}, wanted ()")
    run = _Run(source, target, weights, lengths, target_lengths, start)
    rows = run.logits[run.valid]
    dlogits = np.zeros_like(run.logits)
    dlogits[run.valid] = cross_entropy_vjp(rows, run.target[run.valid], dloss)["dlogits"]
    return run.vjp(dlogits, np.zeros_like(run.a), weights)


def translation_greedy(
    source: Array,  # (T, B), integers in 0 … V - 1
    E_s: Array,  # (V, I)
    E_t: Array,  # (Z, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    W_c: Array,  # (K, H + H)
    W_y: Array,  # (Z, K)
    *,
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    b_c: Array | None = None,  # (K,)
    b_y: Array | None = None,  # (Z,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    start: int = 0,
    end: int = 1,
    steps: int = 1,
) -> tuple[Array, Array]:
    """The most probable word at each step: tokens (steps, B) and length (B,)."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    decoder = _Decoder(source, weights, lengths)
    B = decoder.h_0.shape[0]
    tokens, length = np.full((steps, B), end), np.zeros(B, dtype=np.int64)
    word, ended, h = np.full(B, start), np.zeros(B, dtype=bool), decoder.h_0
    for t in range(steps):
        logits, h = decoder.step(word, h, decoder.h_e, decoder.lengths)
        word = np.where(ended, end, logits.argmax(axis=-1))
        length += ~ended
        ended = ended | (word == end)
        tokens[t] = word
        if ended.all():
            break
    return tokens, length


def translation_beam(
    source: Array,  # (T, B), integers in 0 … V - 1
    E_s: Array,  # (V, I)
    E_t: Array,  # (Z, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    W_c: Array,  # (K, H + H)
    W_y: Array,  # (Z, K)
    *,
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    b_c: Array | None = None,  # (K,)
    b_y: Array | None = None,  # (Z,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    start: int = 0,
    end: int = 1,
    steps: int = 1,
    width: int = 1,
) -> tuple[Array, Array, Array]:
    """The best of `width` hypotheses: tokens (steps, B), length (B,) and score (B,)."""
    weights = {
        "E_s": E_s,
        "E_t": E_t,
        "U_e": U_e,
        "W_e": W_e,
        "U_d": U_d,
        "W_d": W_d,
        "W_c": W_c,
        "W_y": W_y,
        "b_e": b_e,
        "b_d": b_d,
        "b_c": b_c,
        "b_y": b_y,
    }
    decoder = _Decoder(source, weights, lengths)
    B = decoder.h_0.shape[0]
    tokens, length = np.full((steps, B), end), np.zeros(B, dtype=np.int64)
    score = np.zeros(B, decoder.h_0.dtype)
    for n in range(B):
        words, score[n] = _search(decoder, n, start, end, steps, width)
        tokens[: len(words), n] = words
        length[n] = len(words)
    return tokens, length, score


class _Decoder:
    """The source, read once, and steps from words that are chosen on the way."""

    def __init__(self, source: Any, weights: dict[str, Any], lengths: Any):
        made = arrays(**{name: (w, WEIGHTS[name]) for name, w in weights.items()})
        self.w = w = dict(zip(weights, made, strict=True))
        words, self.lengths, _ = _within(source, lengths, 0, "source")
        X = embedding(words, w["E_s"])
        self.h_e, self.h_0 = rnn_sequence(X, w["U_e"], w["W_e"], b=w["b_e"], lengths=self.lengths)

    def step(self, words: Array, h: Array, h_e: Array, lengths: Array) -> tuple[Array, Array]:
        """Logits and next states, a row for each word."""
        w = self.w
        X = embedding(words, w["E_t"])[np.newaxis]
        h_d, h_next = rnn_sequence(X, w["U_d"], w["W_d"], S_0=h, b=w["b_d"])
        logits, *_ = _outputs(h_d, h_e, w["W_c"], w["W_y"], w["b_c"], w["b_y"], lengths)
        return logits[0], h_next


def _search(
    decoder: _Decoder, n: int, start: int, end: int, steps: int, width: int
) -> tuple[list[int], Any]:
    """The best words for sentence n, and their log-probability."""
    dtype = decoder.h_0.dtype
    words: list[list[int]] = [[]]
    score, h = np.zeros(1, dtype), decoder.h_0[n : n + 1]
    ended = np.zeros(1, dtype=bool)
    for _ in range(steps):
        if ended.all():
            break
        live = np.flatnonzero(~ended)
        last = np.array([words[i][-1] if words[i] else start for i in live])
        h_e = np.ascontiguousarray(np.repeat(decoder.h_e[:, n : n + 1], len(live), axis=1))
        lengths = np.repeat(decoder.lengths[n : n + 1], len(live))
        logits, h_next = decoder.step(last, np.ascontiguousarray(h[live]), h_e, lengths)
        Z = logits.shape[1]
        # one row for each hypothesis, in order; one that has ended goes on by `end` alone
        totals = np.full((len(words), Z), -np.inf, dtype)
        totals[ended, end] = score[ended]
        totals[live] = score[live, np.newaxis] + log_softmax(logits)
        h = h.copy()
        h[live] = h_next
        possible = int(ended.sum()) + len(live) * Z
        # stable: of equals, the earlier hypothesis and the lower word come first
        best = np.argsort(-totals.reshape(-1), kind="stable")[: min(width, possible)]
        parents, chosen = best // Z, best % Z
        words = [
            words[p] if ended[p] else [*words[p], int(z)]
            for p, z in zip(parents, chosen, strict=True)
        ]
        score, h = totals.reshape(-1)[best], h[parents]
        ended = ended[parents] | (chosen == end)
    return words[0], score[0]
