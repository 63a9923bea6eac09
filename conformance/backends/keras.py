"""keras' own layers, losses and operations on jax; no equation of a cell is written here.

A layer is called with the case's weights by `stateless_call`, and a VJP is `jax.vjp` of that. What
keras makes of padding, of empty batches or of a row without a key is not touched up.
"""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

# before keras is imported: it chooses its backend once
os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
from keras import layers, losses, ops

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.conformance.backends.jax import (
    devices,
    forward_of,
    use_device,
    vjp_of,
)
from nnspec.spec.loader import spec

__all__ = ["DTYPES", "INSTALL", "UNSUPPORTED", "VERSION", "devices", "use_device"]

Tensor = Any  # jax.Array, where jax is installed

INSTALL = "pip install 'nnspec[keras]'"
VERSION = f"keras {keras.__version__} on jax {jax.__version__}"
# no float64: on jax, keras computes most of its operations on float64 in float32
DTYPES = ("float32", "float16", "bfloat16")

if keras.backend.backend() != "jax":
    raise RuntimeError("keras was imported before, on another backend than jax")

_NO_DELTA = "keras keeps no errors of its own and has no window of time."
_DRAWS = "keras draws from seeds of its own, not from numbers that are given."
_DIVERGENCE = "keras' one divergence, KLDivergence, clips its probabilities."


def _with_vjp(reason: str, *names: str) -> dict[str, str]:
    """The same reason for some operations, and for their VJPs where they have one."""
    known = (f"{name}{suffix}" for name in names for suffix in ("", ".vjp"))
    return {name: reason for name in known if name in spec().operations}


UNSUPPORTED = {
    "bptt": _NO_DELTA,
    "captioning": "keras has no captioning model; its cell and its attention answer elsewhere.",
    "glimpse": "keras has no sensor of several scales and no step of REINFORCE.",
    "translation": "keras has no translation model; its attention and its layers answer here.",
    "transformer": "keras has the attention alone; Transformer layers are those of KerasHub.",
    **_with_vjp("keras.layers.LSTM has no peepholes.", *("lstm_peephole_step",)),
    **_with_vjp("keras.layers.LSTM has no peepholes.", *("lstm_peephole_sequence",)),
    **_with_vjp(
        "keras.layers.LSTM has gates of their own for input and forgetting.", "lstm_coupled_step"
    ),
    **_with_vjp("keras counts no multiplications of a cell.", "recurrent_macs"),
    **_with_vjp(
        "keras clips inside its optimisers, which do not tell the norm.", "clip_gradient_norm"
    ),
    **_with_vjp(_DRAWS, "gan_prior_uniform", "gan_prior_gaussian", "hard_attention"),
    **_with_vjp("keras has no gradient by a score function.", "hard_attention_score_gradient"),
    **_with_vjp(_DIVERGENCE, "gan_optimal_discriminator", "gan_jensen_shannon", "gan_criterion"),
}

ACTIVATIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "identity": "linear"}

# the cell and the layer that a form of the conventions is for
LAYERS = {
    "keras.SimpleRNN": (layers.SimpleRNNCell, layers.SimpleRNN),
    "keras.GRU": (layers.GRUCell, layers.GRU),
    "keras.GRU reset after": (layers.GRUCell, layers.GRU),
    "keras.LSTM": (layers.LSTMCell, layers.LSTM),
}


def _call(
    layer: Any, shapes: Sequence[Any], weights: Iterable[Tensor], *inputs: Any, **options: Any
) -> Any:
    """What a layer gives with these weights, in the order in which it holds them."""
    layer.build(*shapes)
    others = [variable.value for variable in layer.non_trainable_variables]
    return layer.stateless_call(list(weights), others, *inputs, **options)[0]


def _given(*weights: Tensor) -> list[Tensor]:
    return [weight for weight in weights if weight is not None]


# dense layers


def _dense(x: Tensor, W: Tensor, b: Tensor = None, activation: str = "identity") -> Tensor:
    layer = layers.Dense(
        len(W),
        ACTIVATIONS[activation],
        use_bias=b is not None,
        kernel_initializer="zeros",
        dtype=str(x.dtype),
    )
    return _call(layer, [x.shape], _given(W.T, b), x)


def _mlp(
    x: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    W_3: Tensor = None,
    b_1: Tensor = None,
    b_2: Tensor = None,
    b_3: Tensor = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Tensor:
    y_1 = _dense(x, W_1, b_1, activation)
    if W_3 is None:
        return _dense(y_1, W_2, b_2, output_activation)
    return _dense(_dense(y_1, W_2, b_2, activation), W_3, b_3, output_activation)


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    layer = layers.LayerNormalization(epsilon=eps, dtype=str(x.dtype))
    return _call(layer, [x.shape], [gamma, beta], x)


def _embedding(index: Tensor, E: Tensor) -> Tensor:
    layer = layers.Embedding(*E.shape, embeddings_initializer="zeros", dtype=str(E.dtype))
    return _call(layer, [index.shape], [E], index)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype=str(logits.dtype))
    return loss(targets, logits)


# recurrent layers


def _packed(form: str, weights: dict[str, Tensor]) -> list[Tensor]:
    first = next(iter(weights.values()))
    packed = pack(FORMS[form], weights, jnp.zeros(len(first), first.dtype), jnp.concatenate)
    if "bias_recurrent" in packed:
        packed["bias"] = jnp.stack([packed["bias"], packed.pop("bias_recurrent")])
    return list(packed.values())


def _made(layer: Any, form: str, weights: dict[str, Tensor], **settings: Any) -> Any:
    """A cell or layer of the form, of the size of these weights."""
    first = next(iter(weights.values()))
    return layer(
        len(first),
        use_bias=any(name.startswith("b") for name in weights),
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        dtype=str(first.dtype),
        **FORMS[form].attributes,
        **settings,
    )


def _step(
    form: str, x: Tensor, state: list[Tensor], weights: dict[str, Tensor], **settings: Any
) -> list[Tensor]:
    """The next state, (h) or (h, c), by the cell."""
    cell = _made(LAYERS[form][0], form, weights, **settings)
    new: list[Tensor] = _call(cell, [x.shape], _packed(form, weights), x, state)[1]
    return new


def _sequence(
    form: str,
    X: Tensor,  # (T, B, I)
    state: list[Tensor],
    weights: dict[str, Tensor],
    lengths: Tensor = None,
    **settings: Any,
) -> list[Tensor]:
    """States (T, B, H), then the last state."""
    layer = _made(LAYERS[form][1], form, weights, **_RETURNS, **settings)
    return _run(
        layer, X, state, [len(next(iter(weights.values())))], _packed(form, weights), lengths
    )


_RETURNS = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}


def _run(
    layer: Any,
    X: Tensor,
    state: list[Tensor],
    sizes: list[int],
    weights: list[Tensor],
    lengths: Tensor,
) -> list[Tensor]:
    options: dict[str, Any] = {}
    T, B, _ = X.shape
    if any(part is not None for part in state):
        # as many of each size: h and c of one direction, or of both
        each = len(state) // len(sizes)
        options["initial_state"] = [
            jnp.zeros((B, sizes[n // each]), X.dtype) if part is None else part
            for n, part in enumerate(state)
        ]
    if lengths is not None:
        options["mask"] = jnp.arange(T) < lengths[:, None]
    X = X.swapaxes(0, 1)
    if not T:
        raise Unsupported("keras refuses a sequence of no steps: its loop begins with step 0.")
    y, *last = _call(layer, [X.shape], weights, X, **options)
    return [y.swapaxes(0, 1), *last]


def _rnn_step(
    x: Tensor, S_prev: Tensor, U: Tensor, W: Tensor, b: Tensor = None, activation: str = "tanh"
) -> Tensor:
    weights = _named(U=U, W=W, b=b)
    return _step("keras.SimpleRNN", x, [S_prev], weights, activation=ACTIVATIONS[activation])[0]


def _named(**weights: Tensor) -> dict[str, Tensor]:
    return {name: weight for name, weight in weights.items() if weight is not None}


def _rnn_sequence(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> tuple[Tensor, ...]:
    weights = _named(U=U, W=W, b=b)
    settings = {"activation": ACTIVATIONS[activation]}
    return tuple(_sequence("keras.SimpleRNN", X, [S_0], weights, lengths, **settings))


def _rnn_output(S: Tensor, V: Tensor, c: Tensor = None, activation: str = "tanh") -> Tensor:
    return _dense(S, V, c, activation)


def _rnn_deep_output(
    S: Tensor,
    V: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    c: Tensor = None,
    b_1: Tensor = None,
    b_2: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    return _dense(_dense(_rnn_output(S, V, c), W_1, b_1, activation), W_2, b_2)


def _rnn_one_to_many(
    x: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    c: Tensor = None,
    activation: str = "tanh",
    steps: int = 1,
) -> Tensor:
    S = jnp.zeros((len(x), len(U)), x.dtype) if S_0 is None else S_0
    outputs = [x[None][:0]]  # what no steps at all give
    for _ in range(steps):
        S = _rnn_step(x, S, U, W, b, activation)
        x = _rnn_output(S, V, c)
        outputs.append(x[None])
    return jnp.concatenate(outputs)


def _rnn_many_to_many(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    c: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    S, _ = _rnn_sequence(X, U, W, S_0, b, lengths, activation)
    return _within(_rnn_output(S, V, c), lengths)


def _within(y: Tensor, lengths: Tensor) -> Tensor:
    """Padding as the spec has it, 0; a layer on every step answers there, too."""
    if lengths is None:
        return y
    return jnp.where((jnp.arange(len(y))[:, None] < lengths)[..., None], y, 0)


def _rnn_encoder_decoder(
    X: Tensor,
    Y: Tensor,
    U_e: Tensor,
    W_e: Tensor,
    U_d: Tensor,
    W_d: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b_e: Tensor = None,
    b_d: Tensor = None,
    c: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    _, encoded = _rnn_sequence(X, U_e, W_e, S_0, b_e, lengths, activation)
    S, _ = _rnn_sequence(Y, U_d, W_d, encoded, b_d, None, activation)
    return _rnn_output(S, V, c)


def _one(form: str) -> Callable[..., Tensor]:
    """One step of a GRU."""

    def step(x: Tensor, h_prev: Tensor, **weights: Tensor) -> Tensor:
        return _step(form, x, [h_prev], weights)[0]

    return step


def _all(form: str) -> Callable[..., tuple[Tensor, ...]]:
    """A sequence of a GRU."""

    def sequence(
        X: Tensor, h_0: Tensor = None, lengths: Tensor = None, **weights: Tensor
    ) -> tuple[Tensor, ...]:
        return tuple(_sequence(form, X, [h_0], weights, lengths))

    return sequence


def _lstm_step(x: Tensor, h_prev: Tensor, c_prev: Tensor, **weights: Tensor) -> tuple[Tensor, ...]:
    return tuple(_step("keras.LSTM", x, [h_prev, c_prev], weights))


def _lstm_sequence(
    X: Tensor, h_0: Tensor = None, c_0: Tensor = None, lengths: Tensor = None, **weights: Tensor
) -> tuple[Tensor, ...]:
    return tuple(_sequence("keras.LSTM", X, [h_0, c_0], weights, lengths))


def _side(
    mark: str, form: str, arguments: dict[str, Tensor]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """(state, weights) of one direction or one layer, without its mark."""
    side = {n.removesuffix(mark): a for n, a in arguments.items() if n.endswith(mark)}
    names = {"keras.SimpleRNN": ("S_0",), "keras.LSTM": ("h_0", "c_0")}.get(form, ("h_0",))
    return [side.pop(name, None) for name in names], side


def _bidirectional(form: str) -> Callable[..., tuple[Tensor, ...]]:
    """keras.layers.Bidirectional around two layers of the form."""

    def run(X: Tensor, lengths: Tensor = None, **arguments: Any) -> tuple[Tensor, ...]:
        settings = _settings(arguments)
        (state, ahead), (state_back, back) = (
            _side(mark, form, arguments) for mark in ("_fwd", "_bwd")
        )
        made = LAYERS[form][1]
        layer = layers.Bidirectional(
            _made(made, form, ahead, **_RETURNS, **settings),
            merge_mode="concat",
            backward_layer=_made(made, form, back, go_backwards=True, **_RETURNS, **settings),
            dtype=str(X.dtype),
        )
        sizes = [len(next(iter(weights.values()))) for weights in (ahead, back)]
        weights = [*_packed(form, ahead), *_packed(form, back)]
        return tuple(_run(layer, X, [*state, *state_back], sizes, weights, lengths))

    return run


def _stacked(form: str) -> Callable[..., tuple[Tensor, ...]]:
    """One layer of the form behind the other."""

    def run(X: Tensor, lengths: Tensor = None, **arguments: Any) -> tuple[Tensor, ...]:
        settings = _settings(arguments)
        ends: list[Tensor] = []
        for mark in ("_1", "_2"):
            state, weights = _side(mark, form, arguments)
            X, *last = _sequence(form, X, state, weights, lengths, **settings)
            ends += last
        return X, *ends

    return run


def _settings(arguments: dict[str, Any]) -> dict[str, str]:
    """The activation, taken out of the arguments of a recurrent layer."""
    if "activation" not in arguments:
        return {}
    return {"activation": ACTIVATIONS[arguments.pop("activation")]}


def _bptt_unfolded(
    X: Tensor, U: Tensor, W: Tensor, V: Tensor, S_0: Tensor = None, activation: str = "tanh"
) -> tuple[Tensor, Tensor]:
    state = jnp.zeros((X.shape[1], W.shape[1]), X.dtype) if S_0 is None else S_0
    # what no times at all give
    S, O = [state[None][:0]], [jnp.zeros((0, len(state), V.shape[1]), X.dtype)]
    for X_t, U_t, W_t, V_t in zip(X, U, W, V, strict=True):
        state = _rnn_step(X_t, state, U_t, W_t, activation=activation)
        S.append(state[None])
        O.append(_rnn_output(state, V_t)[None])
    return jnp.concatenate(S), jnp.concatenate(O)


def _bptt_forward(
    X: Tensor, U: Tensor, W: Tensor, V: Tensor, S_0: Tensor = None, activation: str = "tanh"
) -> tuple[Tensor, Tensor]:
    S, _ = _rnn_sequence(X, U, W, S_0, activation=activation)
    return S, _rnn_output(S, V)


# attention


def _keep(mask: Tensor, lengths: Tensor, causal: bool, shape: tuple[int, ...]) -> Tensor:
    """Which keys each query may see (B, N, L, S); None where it is all of them."""
    L, S = shape[2:]
    kept = _given(mask)
    if lengths is not None:
        kept.append(jnp.arange(S) < lengths[:, None, None, None])
    if causal:
        # keras' is_causal begins at the first key, ours ends at the last one
        kept.append(jnp.tri(L, S, S - L, dtype=bool))
    if not kept:
        return None
    keep = jnp.ones(shape, dtype=bool)
    for part in kept:
        keep = keep & part
    return keep


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor = None,
    lengths: Tensor = None,
    causal: bool = False,
) -> Tensor:
    """keras.ops.dot_product_attention, which wants keys and values of one size: 0 fills up.

    Its order is (B, L, N, K), ours is (B, N, L, K).
    """
    columns, J = max(q.shape[-1], v.shape[-1]), v.shape[-1]
    keep = _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    scale = 1 / math.sqrt(q.shape[-1])
    q, k, v = (
        ops.pad(x.swapaxes(1, 2), [(0, 0)] * 3 + [(0, columns - x.shape[-1])]) for x in (q, k, v)
    )
    y = ops.dot_product_attention(q, k, v, mask=keep, scale=scale, flash_attention=False)
    return y[..., :J].swapaxes(1, 2)


def _attention_weights(q: Tensor, k: Tensor, **options: Any) -> Tensor:
    # the values are the rows of the identity: what is mixed of them are the weights
    S = k.shape[2]
    rows = jnp.broadcast_to(jnp.eye(S, dtype=q.dtype), (*k.shape[:2], S, S))
    return _attention(q, k, rows, **options)


def _multi_head_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    W_q: Tensor,
    W_k: Tensor,
    W_v: Tensor,
    W_o: Tensor,
    b_q: Tensor = None,
    b_k: Tensor = None,
    b_v: Tensor = None,
    b_o: Tensor = None,
    mask: Tensor = None,
    lengths: Tensor = None,
    heads: int = 1,
    causal: bool = False,
) -> Tensor:
    K, J = len(W_q) // heads, len(W_v) // heads
    biases = [b_q, b_k, b_v, b_o]
    biased = any(b is not None for b in biases)
    layer = layers.MultiHeadAttention(
        heads,
        K,
        value_dim=J,
        use_bias=biased,
        output_shape=len(W_o),
        kernel_initializer="zeros",
        flash_attention=False,
        dtype=str(q.dtype),
    )
    weights = []
    for W, b, size in zip((W_q, W_k, W_v), biases, (K, K, J), strict=False):
        weights.append(W.T.reshape(-1, heads, size))
        if biased:
            b = jnp.zeros(len(W), W.dtype) if b is None else b
            weights.append(b.reshape(heads, size))
    weights.append(W_o.T.reshape(heads, J, -1))
    if biased:
        weights.append(jnp.zeros(len(W_o), W_o.dtype) if b_o is None else b_o)
    keep = _keep(mask, lengths, causal, (len(q), heads, q.shape[1], k.shape[1]))
    shapes = [q.shape, v.shape, k.shape]
    return _call(layer, shapes, weights, q, v, k, attention_mask=keep)


def _dot_scores(query: Tensor, keys: Tensor) -> Tensor:
    layer = layers.Dot(axes=(1, 2), dtype=str(query.dtype))
    return layer([query, keys.swapaxes(0, 1)]).T


def _additive_scores(
    query: Tensor, keys: Tensor, W_q: Tensor, W_k: Tensor, v: Tensor, b: Tensor = None
) -> Tensor:
    # two layers on [query, key], the matrices side by side
    queries = jnp.broadcast_to(query, (len(keys), *query.shape))
    both = jnp.concatenate([queries, keys], axis=-1)
    hidden = _dense(both, jnp.concatenate([W_q, W_k], axis=-1), b, "tanh")
    return _dense(hidden, v[None])[..., 0]


def _soft_attention(
    scores: Tensor, values: Tensor, lengths: Tensor = None, mask: Tensor = None
) -> tuple[Tensor, Tensor]:
    """Scores by a softmax layer with a mask, then the product of the weights and the values."""
    keep = None if mask is None else mask.T
    if lengths is not None:
        within = jnp.arange(len(scores)) < lengths[:, None]
        keep = within if keep is None else keep & within
    weights = layers.Softmax(dtype=str(scores.dtype))(scores.T, mask=keep)
    mixed = layers.Dot(axes=(1, 1), dtype=str(scores.dtype))([weights, values.swapaxes(0, 1)])
    return mixed, weights.T


def _looked(h_d: Tensor, h_e: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Contexts (N, B, H) and weights (N, T, B) of keras.layers.Attention, which does not scale."""
    keep = None if lengths is None else jnp.arange(len(h_e)) < lengths[:, None]
    query, value = h_d.swapaxes(0, 1), h_e.swapaxes(0, 1)
    layer = layers.Attention(dtype=str(h_e.dtype))
    c, a = layer([query, value], mask=[None, keep], return_attention_scores=True)
    return c.swapaxes(0, 1), a.transpose(1, 2, 0)


def _translation_attention(h_d: Tensor, h_e: Tensor, lengths: Tensor = None) -> Tensor:
    return _looked(h_d, h_e, lengths)[1]


def _translation_attentional_state(c: Tensor, h: Tensor, W_c: Tensor, b_c: Tensor = None) -> Tensor:
    return _dense(jnp.concatenate([c, h], axis=-1), W_c, b_c, "tanh")


def _translation_step(
    x: Tensor,
    h_prev: Tensor,
    h_e: Tensor,
    U_d: Tensor,
    W_d: Tensor,
    W_c: Tensor,
    W_y: Tensor,
    b_d: Tensor = None,
    b_c: Tensor = None,
    b_y: Tensor = None,
    lengths: Tensor = None,
) -> tuple[Tensor, ...]:
    h = _rnn_step(x, h_prev, U_d, W_d, b_d)
    c, a = _looked(h[None], h_e, lengths)
    return _dense(_translation_attentional_state(c[0], h, W_c, b_c), W_y, b_y), h, a[0]


# glimpses


def _glimpse_network(
    rho: Tensor,
    l: Tensor,
    W_rho: Tensor,
    W_l: Tensor,
    W_gr: Tensor,
    W_gl: Tensor,
    b_rho: Tensor = None,
    b_l: Tensor = None,
    b_g: Tensor = None,
) -> Tensor:
    seen = _dense(rho.reshape(len(rho), W_rho.shape[1]), W_rho, b_rho, "relu")
    both = jnp.concatenate([seen, _dense(l, W_l, b_l, "relu")], axis=-1)
    return _dense(both, jnp.concatenate([W_gr, W_gl], axis=-1), b_g, "relu")


# generative adversarial networks


def _gan_generator(
    z: Tensor,
    W_G1: Tensor,
    W_G2: Tensor,
    b_G1: Tensor = None,
    b_G2: Tensor = None,
    activation: str = "relu",
    output_activation: str = "identity",
) -> Tensor:
    return _mlp(z, W_G1, W_G2, None, b_G1, b_G2, None, activation, output_activation)


def _gan_discriminator(
    x: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor = None,
    b_D2: Tensor = None,
    activation: str = "relu",
) -> tuple[Tensor, Tensor]:
    a = _mlp(x, W_D1, W_D2, None, b_D1, b_D2, None, activation)[:, 0]
    return ops.sigmoid(a), a


def _binary(y: Tensor, real: bool, from_logits: bool = True, reduction: str = "mean") -> Tensor:
    """keras.losses.BinaryCrossentropy against ones or zeros, an example a row."""
    loss = losses.BinaryCrossentropy(from_logits, reduction=reduction, dtype=str(y.dtype))
    y = y.reshape(-1, 1)
    return loss(jnp.ones_like(y) if real else jnp.zeros_like(y), y)


def _gan_value(v_real: Tensor, v_fake: Tensor) -> Tensor:
    return -_binary(v_real, True, False) - _binary(v_fake, False, False)


def _gan_discriminator_loss(a_real: Tensor, a_fake: Tensor) -> Tensor:
    return _binary(a_real, True) + _binary(a_fake, False)


def _gan_saturating_loss(a_fake: Tensor) -> Tensor:
    return -_binary(a_fake, False)


def _gan_non_saturating_loss(a_fake: Tensor) -> Tensor:
    return _binary(a_fake, True)


def _gan_logit_gradients(a: Tensor) -> tuple[Tensor, Tensor]:
    saturating = jax.grad(lambda x: -_binary(x, False, reduction="sum"))
    non_saturating = jax.grad(lambda x: _binary(x, True, reduction="sum"))
    return saturating(a), non_saturating(a)


def _descended(
    parameters: Sequence[Tensor], gradients: Sequence[Tensor], rate: float
) -> tuple[Tensor, ...]:
    """Parameters after one step of keras.optimizers.SGD."""
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build([keras.Variable(parameter) for parameter in parameters])
    held = [variable.value for variable in optimizer.variables]
    return tuple(optimizer.stateless_apply(held, list(gradients), list(parameters))[0])


def _sgd_step(theta: Tensor, g: Tensor, eta: float = 0.01) -> Tensor:
    return _descended([theta], [g], eta)[0]


def _gan_discriminator_step(
    x: Tensor,
    z: Tensor,
    W_G1: Tensor,
    W_G2: Tensor,
    b_G1: Tensor,
    b_G2: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor,
    b_D2: Tensor,
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
) -> tuple[Tensor, ...]:
    fake = _gan_generator(z, W_G1, W_G2, b_G1, b_G2, activation, output_activation)

    judge: Callable[..., tuple[Tensor, Tensor]] = _gan_discriminator

    def loss(parameters: tuple[Tensor, ...]) -> Tensor:
        (_, a_real), (_, a_fake) = (
            judge(batch, *parameters, activation=activation) for batch in (x, fake)
        )
        return _gan_discriminator_loss(a_real, a_fake)

    parameters = (W_D1, W_D2, b_D1, b_D2)
    return _descended(parameters, jax.grad(loss)(parameters), eta_D)


def _gan_generator_step(
    z: Tensor,
    W_G1: Tensor,
    W_G2: Tensor,
    b_G1: Tensor,
    b_G2: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor,
    b_D2: Tensor,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_G: float = 0.125,
) -> tuple[Tensor, ...]:
    chosen = {"saturating": _gan_saturating_loss, "non_saturating": _gan_non_saturating_loss}
    kinds = {"activation": activation, "output_activation": output_activation}

    def loss(parameters: tuple[Tensor, ...]) -> Tensor:
        fake = _gan_generator(z, *parameters, **kinds)
        _, a = _gan_discriminator(fake, W_D1, W_D2, b_D1, b_D2, activation)
        return chosen[generator_loss](a)

    parameters = (W_G1, W_G2, b_G1, b_G2)
    return _descended(parameters, jax.grad(loss)(parameters), eta_G)


def _gan_step(
    X: Tensor,
    Z: Tensor,
    z: Tensor,
    W_G1: Tensor,
    W_G2: Tensor,
    b_G1: Tensor,
    b_G2: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor,
    b_D2: Tensor,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
    eta_G: float = 0.125,
) -> tuple[Tensor, ...]:
    generator: tuple[Tensor, ...] = (W_G1, W_G2, b_G1, b_G2)
    discriminator: tuple[Tensor, ...] = (W_D1, W_D2, b_D1, b_D2)
    kinds = {"activation": activation, "output_activation": output_activation}
    ascend: Callable[..., tuple[Tensor, ...]] = _gan_discriminator_step
    descend: Callable[..., tuple[Tensor, ...]] = _gan_generator_step
    for x_k, z_k in zip(X, Z, strict=True):
        discriminator = ascend(x_k, z_k, *generator, *discriminator, eta_D=eta_D, **kinds)
    chosen = {"generator_loss": generator_loss, "eta_G": eta_G}
    generator = descend(z, *generator, *discriminator, **chosen, **kinds)
    return *generator, *discriminator


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: ops.sigmoid(x),
    "tanh": lambda x: ops.tanh(x),
    "softplus": lambda x: ops.softplus(x),
    "relu": lambda x: ops.relu(x),
    "softmax": lambda x, axis=-1: ops.softmax(x, axis=axis),
    "log_softmax": lambda x, axis=-1: ops.log_softmax(x, axis=axis),
    "cross_entropy": _cross_entropy,
    "layer_norm": _layer_norm,
    "one_hot": lambda index, size=2500: ops.one_hot(index, size, dtype="int32"),
    "one_hot_product": lambda index, U: _embedding(index, U.T),
    "embedding": _embedding,
    "affine": _dense,
    "mlp": _mlp,
    "rnn_step": _rnn_step,
    "rnn_output": _rnn_output,
    "rnn_deep_output": _rnn_deep_output,
    "rnn_sequence": _rnn_sequence,
    "rnn_unrolled": lambda X, U, W, **options: _rnn_sequence(X, U, W, **options)[1],
    "rnn_one_to_one": lambda x, U, V, b=None, c=None, activation="tanh": _rnn_output(
        _dense(x, U, b, activation), V, c
    ),
    "rnn_one_to_many": _rnn_one_to_many,
    "rnn_many_to_one": lambda X, U, W, V, c=None, **options: _rnn_output(
        _rnn_sequence(X, U, W, **options)[1], V, c
    ),
    "rnn_many_to_many": _rnn_many_to_many,
    "rnn_encoder_decoder": _rnn_encoder_decoder,
    "rnn_bidirectional": _bidirectional("keras.SimpleRNN"),
    "rnn_stacked": _stacked("keras.SimpleRNN"),
    "gru_step": _one("keras.GRU"),
    "gru_sequence": _all("keras.GRU"),
    "gru_reset_after_step": _one("keras.GRU reset after"),
    "gru_reset_after_sequence": _all("keras.GRU reset after"),
    "gru_bidirectional": _bidirectional("keras.GRU"),
    "gru_stacked": _stacked("keras.GRU"),
    "lstm_step": _lstm_step,
    "lstm_sequence": _lstm_sequence,
    "lstm_bidirectional": _bidirectional("keras.LSTM"),
    "lstm_stacked": _stacked("keras.LSTM"),
    "bptt_forward": _bptt_forward,
    "bptt_unfolded": _bptt_unfolded,
    "sgd_step": _sgd_step,
    "frobenius_norm": lambda A: ops.norm(A, ord="fro", axis=(-2, -1)),
    "attention_weights": _attention_weights,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention": _multi_head_attention,
    "feed_forward": lambda x, W_1, W_2, b_1=None, b_2=None: _mlp(
        x, W_1, W_2, None, b_1, b_2, None, "relu"
    ),
    "attention_dot_scores": _dot_scores,
    "attention_general_scores": lambda query, keys, W: _dot_scores(_dense(query, W.T), keys),
    "attention_additive_scores": _additive_scores,
    "soft_attention": _soft_attention,
    "translation_attention": _translation_attention,
    "translation_attentional_state": _translation_attentional_state,
    "translation_step": _translation_step,
    "glimpse_network": _glimpse_network,
    "glimpse_core": lambda g, h_prev, U, W, b_h=None: _rnn_step(g, h_prev, U, W, b_h, "relu"),
    "glimpse_action": lambda h, W_a, b_a=None: ops.softmax(_dense(h, W_a, b_a)),
    "gan_generator": _gan_generator,
    "gan_discriminator": _gan_discriminator,
    "gan_value": _gan_value,
    "gan_value_logits": lambda a_real, a_fake: -_gan_discriminator_loss(a_real, a_fake),
    "gan_discriminator_loss": _gan_discriminator_loss,
    "gan_saturating_loss": _gan_saturating_loss,
    "gan_non_saturating_loss": _gan_non_saturating_loss,
    "gan_logit_gradients": _gan_logit_gradients,
    "gan_discriminator_step": _gan_discriminator_step,
    "gan_generator_step": _gan_generator_step,
    "gan_step": _gan_step,
}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under `jax.jit`, as keras runs a model."""

    def call(**arguments: Any) -> Any:
        arrays = {n: value for n, value in arguments.items() if hasattr(value, "dtype")}
        attributes = {n: value for n, value in arguments.items() if n not in arrays}
        try:
            return jax.jit(functools.partial(function, **attributes))(**arrays)
        except ValueError as error:
            # "The precision 'F16_F16_F32' is not supported by dot_general on CPU"
            if "is not supported by dot_general" not in str(error):
                raise
            raise Unsupported(f"jax under jit: {str(error).rstrip('.')}.") from None

    return call


@contextlib.contextmanager
def _as_keras_has_it() -> Iterator[None]:
    """jax with no 64-bit types inside the block: keras' layers mix the two where there are both."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


for _name, _function in OPERATIONS.items():
    globals()[_name] = _as_keras_has_it()(forward_of(_compiled(_function)))
    if f"{_name}.vjp" in spec().operations:
        globals()[f"{_name}_vjp"] = _as_keras_has_it()(vjp_of(_name, _compiled(_function)))
