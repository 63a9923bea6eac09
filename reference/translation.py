"""Machine translation with attention: two recurrent networks, and a(t, j) between their states.

The encoder reads the source words, the decoder the target words before the one it predicts; each
of its states looks at all states of the encoder. Words are numbers, times come first: source
(T, B), target (N, B). The basic network of the deck is in both places, not an LSTM.
"""

import dataclasses
from typing import Any

import numpy as np

from nnspec.reference.array import Array
from nnspec.reference.attention import (
    attended,
    attention_dot_scores,
    attention_dot_scores_vjp,
    attention_weights,
)
from nnspec.reference.primitives import (
    affine,
    affine_vjp,
    cross_entropy,
    cross_entropy_vjp,
    embedding,
    embedding_vjp,
    log_softmax,
)
from nnspec.reference.rnn import rename, rnn_sequence, rnn_sequence_vjp, rnn_step, rnn_step_vjp


def translation_attention(
    h_d: Array,  # (N, B, H), the decoder's states
    h_e: Array,  # (T, B, H), the encoder's
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> Array:
    """a(t, j) = exp(h_j · h_t) / sum_k exp(h_k · h_t), over the words of the source.

    Returns a (N, T, B), 0 beyond the source's length.
    Source: slide "Application to Machine Translation (cont.)", a(t, j); Luong 2015, equation 7
    with the score "dot"; spec/translation.md. Not Bahdanau's, which looks from h_{t-1}.
    """
    valid = attended(h_e[..., 0], lengths, None)
    shown = np.where(valid[..., np.newaxis], h_e, 0)
    a = np.zeros_like(h_d, shape=(len(h_d), *valid.shape))
    for t in range(len(h_d)):
        a[t] = attention_weights(
            attention_dot_scores(h_d[t], shown), valid
        )  # translation.attention
    return a


def translation_attention_vjp(
    h_d: Array,
    h_e: Array,
    da: Array,  # (N, T, B)
    *,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """The weights' VJP gives the scores', the dot product's the states'; every a(t, j) has h_j."""
    valid = attended(h_e[..., 0], lengths, None)
    shown = np.where(valid[..., np.newaxis], h_e, 0)
    a = translation_attention(h_d, h_e, lengths=lengths)
    da_valid = np.where(valid, da, 0)
    dscores = a * (da_valid - (a * da_valid).sum(axis=1, keepdims=True))
    dh_d, dh_e = np.zeros_like(h_d), np.zeros_like(h_e)
    for t in range(len(h_d)):
        d = attention_dot_scores_vjp(h_d[t], shown, dscores[t])
        dh_d[t] = d["dquery"]
        dh_e = dh_e + d["dkeys"]
    return {"dh_d": dh_d, "dh_e": dh_e}


def translation_context(
    a: Array,  # (N, T, B)
    h_e: Array,  # (T, B, H)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> Array:
    """c_t = sum_j a(t, j) h_j: what the decoder sees of the source at time t.

    Returns c (N, B, H). Weights and states beyond the source's length are not used.
    Source: slide "Application to Machine Translation (cont.)", the context vector; Luong 2015,
    section 3.1; spec/translation.md.
    """
    valid = attended(h_e[..., 0], lengths, None)
    shown = np.where(valid[..., np.newaxis], h_e, 0)
    seen = np.where(valid, a, 0)
    c: Array = (seen[..., np.newaxis] * shown).sum(axis=1)  # translation.context
    return c


def translation_context_vjp(
    a: Array,
    h_e: Array,
    dc: Array,  # (N, B, H)
    *,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """da(t, j) = dc_t · h_j, dh_j = sum over t of a(t, j) dc_t."""
    valid = attended(h_e[..., 0], lengths, None)
    shown = np.where(valid[..., np.newaxis], h_e, 0)
    seen = np.where(valid, a, 0)
    dc_t = dc[:, np.newaxis]
    return {
        "da": np.where(valid, (dc_t * shown).sum(axis=-1), 0),
        "dh_e": (seen[..., np.newaxis] * dc_t).sum(axis=0),
    }


def translation_attentional_state(
    c: Array,  # (B, H)
    h: Array,  # (B, H)
    W_c: Array,  # (K, H + H)
    *,
    b_c: Array | None = None,  # (K,)
) -> Array:
    """h~_t = tanh(W_c [c_t; h_t]): the context first, then the state.

    Returns h_tilde (B, K).
    Source: Luong 2015, equation 5; spec/translation.md.
    """
    ch = np.concatenate([c, h], axis=-1)
    h_tilde: Array = np.tanh(affine(ch, W_c, b=b_c))  # translation.attentional_state
    return h_tilde


def translation_attentional_state_vjp(
    c: Array,
    h: Array,
    W_c: Array,
    dh_tilde: Array,  # (B, K)
    *,
    b_c: Array | None = None,
) -> dict[str, Array]:
    """da = dh~ (1 - h~²), then the product's VJP, its input taken apart into c and h."""
    h_tilde = translation_attentional_state(c, h, W_c, b_c=b_c)
    ch = np.concatenate([c, h], axis=-1)
    d = affine_vjp(ch, W_c, dh_tilde * (1 - h_tilde * h_tilde), b=b_c)
    dch, H = d.pop("dx"), c.shape[-1]
    return {"dc": dch[:, :H], "dh": dch[:, H:]} | rename(d, W="W_c", b="b_c")


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
    """One step of the decoder: its new state looks at the source, and both give the word's scores.

    Returns logits (B, Z), h (B, H), the state for the next step, and a (T, B). The attentional
    state goes to the output alone: no input feeding (Luong 2015, section 3.3).
    Source: slides "Application to Machine Translation"; Luong 2015, sections 3 and 3.1;
    spec/translation.md.
    """
    h = rnn_step(x, h_prev, U_d, W_d, b=b_d)  # translation.decoder
    a = translation_attention(h[np.newaxis], h_e, lengths=lengths)
    c = translation_context(a, h_e, lengths=lengths)
    h_tilde = translation_attentional_state(c[0], h, W_c, b_c=b_c)
    logits = affine(h_tilde, W_y, b=b_y)  # translation.output
    return logits, h, a[0]


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
    """h_t has three errors beside its own: as a query, in the attentional state, and at t + 1."""
    h = rnn_step(x, h_prev, U_d, W_d, b=b_d)
    a = translation_attention(h[np.newaxis], h_e, lengths=lengths)
    c = translation_context(a, h_e, lengths=lengths)
    h_tilde = translation_attentional_state(c[0], h, W_c, b_c=b_c)
    d_output = rename(affine_vjp(h_tilde, W_y, dlogits, b=b_y), W="W_y", b="b_y")
    dh_tilde = d_output.pop("dx")
    d_mixed = translation_attentional_state_vjp(c[0], h, W_c, dh_tilde, b_c=b_c)
    dc, dh_mixed = d_mixed.pop("dc"), d_mixed.pop("dh")
    d_seen = translation_context_vjp(a, h_e, dc[np.newaxis], lengths=lengths)
    d_weights = translation_attention_vjp(
        h[np.newaxis], h_e, d_seen["da"] + da[np.newaxis], lengths=lengths
    )
    dh_all = dh + dh_mixed + d_weights["dh_d"][0]
    d_state = rename(
        rnn_step_vjp(x, h_prev, U_d, W_d, dh_all, b=b_d), S_prev="h_prev", U="U_d", W="W_d", b="b_d"
    )
    return d_state | d_mixed | d_output | {"dh_e": d_seen["dh_e"] + d_weights["dh_e"]}


def encode(
    source: Array,  # (T, B)
    E_s: Array,  # (V, I)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    b_e: Array | None,  # (H,)
    lengths: Array | None,  # (B,)
) -> tuple[Array, Array]:
    """The encoder's states h_e (T, B, H), 0 beyond the length, and the last valid one (B, H)."""
    X = embedding(within(source, lengths, 0), E_s)
    return rnn_sequence(X, U_e, W_e, b=b_e, lengths=lengths)  # translation.encoder


def within(words: Array, lengths: Array | None, other: int) -> Array:
    """The words of each sentence, and `other` beyond its length, where anything may stand."""
    return np.where(attended(words, lengths, None), words, other)


def words_before(target: Array, target_lengths: Array | None, start: int) -> Array:
    """What the decoder reads: `start`, then the target without its last word."""
    first = np.full((1, target.shape[1]), start)
    before = np.concatenate([first, target])[: len(target)]  # translation.teacher_forcing
    return within(before, target_lengths, start)


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
    """The scores of every target word, given the source and the target's words before it.

    Returns logits (N, B, Z) and a (N, T, B), both 0 beyond the lengths. logits[t] are for
    target[t], which step t does not read. The encoder's last state is the decoder's first.
    Source: slides "Application to Machine Translation"; Sutskever 2014, section 2; Luong 2015,
    section 3; spec/translation.md.
    """
    h_e, h = encode(source, E_s, U_e, W_e, b_e, lengths)
    X = embedding(words_before(target, target_lengths, start), E_t)
    valid = attended(target, target_lengths, None)
    logits = np.zeros_like(E_s, shape=(*target.shape, len(W_y)))
    a = np.zeros_like(E_s, shape=(len(target), *source.shape))
    options = {"b_d": b_d, "b_c": b_c, "b_y": b_y, "lengths": lengths}
    for t in range(len(target)):
        scores, h, weights = translation_step(X[t], h, h_e, U_d, W_d, W_c, W_y, **options)
        logits[t] = np.where(valid[t][:, np.newaxis], scores, 0)  # translation.forward
        a[t] = np.where(valid[t], weights, 0)  # translation.forward
    return logits, a


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
    """Backpropagation through the decoder, which gathers dh_e, then through the encoder."""
    h_e, h_0 = encode(source, E_s, U_e, W_e, b_e, lengths)
    before = words_before(target, target_lengths, start)
    X, valid = embedding(before, E_t), attended(target, target_lengths, None)
    h = [h_0]
    for t in range(len(target)):
        h.append(rnn_step(X[t], h[t], U_d, W_d, b=b_d))
    options = {"b_d": b_d, "b_c": b_c, "b_y": b_y, "lengths": lengths}
    weights = {"U_d": U_d, "W_d": W_d, "W_c": W_c, "W_y": W_y, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    d = {f"d{name}": np.zeros_like(w) for name, w in weights.items() if w is not None}
    dh_e, dh, dX = np.zeros_like(h_e), np.zeros_like(h_0), np.zeros_like(X)
    for t in reversed(range(len(target))):
        dscores = np.where(valid[t][:, np.newaxis], dlogits[t], 0)
        dweights = np.where(valid[t], da[t], 0)
        d_t = translation_step_vjp(
            X[t], h[t], h_e, U_d, W_d, W_c, W_y, dscores, dh, dweights, **options
        )
        dX[t], dh = d_t["dx"], d_t["dh_prev"]
        dh_e = dh_e + d_t["dh_e"]
        d = {name: total + d_t[name] for name, total in d.items()}
    words = within(source, lengths, 0)
    d_encoder = rnn_sequence_vjp(embedding(words, E_s), U_e, W_e, dh_e, dh, b=b_e, lengths=lengths)
    # the encoder starts from 0, which no input gives
    dX_e, _ = d_encoder.pop("dX"), d_encoder.pop("dS_0")
    tables = {
        "dE_s": embedding_vjp(words, E_s, dX_e)["dE"],
        "dE_t": embedding_vjp(before, E_t, dX)["dE"],
    }
    return tables | rename(d_encoder, U="U_e", W="W_e", b="b_e") | d


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
    """-log p(target | source) for each word, the mean over all words of the batch.

    Returns loss, a scalar; 0 where there is no word. Padding does not count. Not the mean of the
    sentences' means, nor a sum over each sentence.
    Source: Sutskever 2014, equation 1, and Luong 2015, equation 4, for each word instead of each
    sentence; spec/translation.md.
    """
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    options: dict[str, Any] = {**biases, "lengths": lengths, "target_lengths": target_lengths}
    weights = (E_s, E_t, U_e, W_e, U_d, W_d, W_c, W_y)
    logits, _ = translation_forward(source, target, *weights, **options, start=start)
    valid = attended(target, target_lengths, None)
    return cross_entropy(logits[valid], target[valid])  # translation.loss


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
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    options: dict[str, Any] = {**biases, "lengths": lengths, "target_lengths": target_lengths}
    weights = (E_s, E_t, U_e, W_e, U_d, W_d, W_c, W_y)
    logits, a = translation_forward(source, target, *weights, **options, start=start)
    valid = attended(target, target_lengths, None)
    dlogits = np.zeros_like(logits)
    dlogits[valid] = cross_entropy_vjp(logits[valid], target[valid], dloss)["dlogits"]
    return translation_forward_vjp(
        source, target, *weights, dlogits, np.zeros_like(a), **options, start=start
    )


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
    """The most probable word at each step, read again at the next, until `end` or for all steps.

    Of words with the same score the first is taken. Returns tokens (steps, B), which are `end`
    from the first `end` on, and length (B,), the number of tokens up to it and with it.
    Source: slides "Application to Machine Translation", the translation itself; Sutskever 2014,
    section 3.2, with a beam of 1; spec/translation.md.
    """
    h_e, h = encode(source, E_s, U_e, W_e, b_e, lengths)
    options = {"b_d": b_d, "b_c": b_c, "b_y": b_y, "lengths": lengths}
    B = source.shape[1]
    tokens, length = np.full((steps, B), end), np.zeros(B, dtype=np.int64)
    word, ended = np.full(B, start), np.zeros(B, dtype=bool)
    for t in range(steps):
        x = embedding(word, E_t)
        logits, h, _ = translation_step(x, h, h_e, U_d, W_d, W_c, W_y, **options)
        word = np.where(ended, end, logits.argmax(axis=-1))  # translation.greedy
        length = length + ~ended
        ended = ended | (word == end)
        tokens[t] = word
    return tokens, length


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """The beginning of a translation: its words, log-probability, and the decoder's state."""

    words: tuple[int, ...]
    score: Any
    h: Array  # (1, H)
    ended: bool


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
    """The best translation that a search with `width` hypotheses at a time finds.

    At every step each hypothesis is continued by every word, and the `width` most probable are
    kept; one that has ended stays as it is and keeps its place. Of the same probability the one
    from the better hypothesis comes first, then the lower word. Returns tokens (steps, B) and
    length (B,) as `translation_greedy`, and score (B,), the logarithm of the probability.
    Source: Sutskever 2014, section 3.2; spec/translation.md. No normalisation by length.
    """
    h_e, h_0 = encode(source, E_s, U_e, W_e, b_e, lengths)
    B = source.shape[1]
    tokens, length = np.full((steps, B), end), np.zeros(B, dtype=np.int64)
    score = np.zeros_like(E_s, shape=B)
    for n in range(B):
        own = {"lengths": None if lengths is None else lengths[n : n + 1]}
        options = {"b_d": b_d, "b_c": b_c, "b_y": b_y, **own}
        beam = [Hypothesis((), score[n], h_0[n : n + 1], ended=False)]
        for _ in range(steps):
            continued = []
            for hypothesis in beam:
                if hypothesis.ended:
                    continued.append([hypothesis])
                    continue
                word = hypothesis.words[-1] if hypothesis.words else start
                x = embedding(np.array([word]), E_t)
                logits, h, _ = translation_step(
                    x, hypothesis.h, h_e[:, n : n + 1], U_d, W_d, W_c, W_y, **options
                )
                continued.append(continuations(hypothesis, logits, h, end))
            beam = most_probable(continued, width)
        tokens[: len(beam[0].words), n] = beam[0].words
        length[n], score[n] = len(beam[0].words), beam[0].score
    return tokens, length, score


def continuations(hypothesis: Hypothesis, logits: Array, h: Array, end: int) -> list[Hypothesis]:
    """The hypothesis with every word behind it, the most probable first, then the lower word."""
    log_p = log_softmax(logits)[0]
    # by the logits, in which equal words are equal to the last bit
    order = sorted(range(len(log_p)), key=lambda word: logits[0, word], reverse=True)
    return [
        Hypothesis(
            words=(*hypothesis.words, word),
            score=hypothesis.score + log_p[word],  # translation.beam_score
            h=h,
            ended=word == end,
        )
        for word in order
    ]


def most_probable(continued: list[list[Hypothesis]], width: int) -> list[Hypothesis]:
    """The `width` first of these sorted lists together; of equals, the one of the earlier list."""
    kept: list[Hypothesis] = []
    waiting = [list(row) for row in continued]
    while len(kept) < width and any(waiting):
        first, *others = [row for row in waiting if row]
        for row in others:
            if row[0].score > first[0].score:
                first = row
        kept.append(first.pop(0))  # translation.beam
    return kept
