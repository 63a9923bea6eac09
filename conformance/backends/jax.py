"""jax.nn and jax.numpy: activations, dense layers, attention; VJPs by jax.vjp of the forward."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnspec.reference.array import Array
from nnspec.spec.loader import dimensions, spec

Tensor = Any  # jax.Array, where jax is installed

INSTALL = "pip install 'nnspec[jax]'"
VERSION = f"jax {jax.__version__}"
DTYPES = ("float32", "float64", "float16", "bfloat16")

_NO_LAYER = "jax ships no recurrent layer; those of Flax and Haiku are libraries of their own."
_NO_LOSS = "jax ships no loss; those of Optax are a library of its own."
_NO_NORM = "jax ships no layer normalisation with gain and bias; Flax's is a library of its own."
_DRAWS = "jax draws from keys of its own, not from numbers that are given."
_NO_OPTIMISER = "jax ships no optimiser and no clipping; those of Optax are a library of its own."


def _with_vjp(reason: str, *names: str) -> dict[str, str]:
    """The same reason for some operations, and for their VJPs where they have one."""
    known = (f"{name}{suffix}" for name in names for suffix in ("", ".vjp"))
    return {name: reason for name in known if name in spec().operations}


UNSUPPORTED = {
    "rnn": _NO_LAYER,
    "gru": _NO_LAYER,
    "lstm": _NO_LAYER,
    "bptt": _NO_LAYER,
    "captioning": "jax ships no captioning model and no layer of one.",
    "glimpse": "jax ships no layer of a glimpse network.",
    "translation": "jax ships no translation model; its attention answers here.",
    "transformer": "jax ships the attention alone; the layers of Flax are a library of its own.",
    **_with_vjp(_NO_LOSS, "cross_entropy"),
    **_with_vjp(_NO_NORM, "layer_norm"),
    **_with_vjp(_NO_OPTIMISER, "sgd_step", "clip_gradient_norm", "bptt_train_step"),
    **_with_vjp(_NO_OPTIMISER, "gan_discriminator_step", "gan_generator_step", "gan_step"),
    **_with_vjp(_DRAWS, "gan_prior_uniform", "gan_prior_gaussian", "hard_attention"),
    **_with_vjp(
        "jax ships no divergence of two distributions.",
        *("gan_optimal_discriminator", "gan_jensen_shannon", "gan_criterion"),
    ),
    **_with_vjp("jax ships no losses on probabilities.", "gan_value"),
    **_with_vjp("jax ships no additive score.", "attention_additive_scores"),
    **_with_vjp("jax ships no general score.", "attention_general_scores"),
    **_with_vjp("jax ships no gradient by a score function.", "hard_attention_score_gradient"),
}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "identity": lambda x: x,
}

jax.config.update("jax_enable_x64", True)


def devices() -> list[str]:
    """The devices that jax sees, by platform and number."""
    return list(_devices())


def use_device(name: str) -> None:
    """Compute there from now on."""
    jax.config.update("jax_default_device", _devices()[name])


def _devices() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for platform in ("cpu", "cuda", "rocm", "tpu"):
        try:
            seen = jax.devices(platform)
        except RuntimeError:
            continue
        found[platform] = seen[0]
        found |= {f"{platform}:{n}": device for n, device in enumerate(seen)}
    return found


def _affine(x: Tensor, W: Tensor, b: Tensor = None) -> Tensor:
    y = jnp.dot(x, W.T)
    return y if b is None else y + b


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
    f, f_out = ACTIVATIONS[activation], ACTIVATIONS[output_activation]
    y_1 = f(_affine(x, W_1, b_1))
    if W_3 is None:
        return f_out(_affine(y_1, W_2, b_2))
    return f_out(_affine(f(_affine(y_1, W_2, b_2)), W_3, b_3))


def _rnn_output(S: Tensor, V: Tensor, c: Tensor = None, activation: str = "tanh") -> Tensor:
    return ACTIVATIONS[activation](_affine(S, V, c))


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
    hidden = ACTIVATIONS[activation](_affine(_rnn_output(S, V, c), W_1, b_1))
    return _affine(hidden, W_2, b_2)


def _rnn_one_to_one(
    x: Tensor, U: Tensor, V: Tensor, b: Tensor = None, c: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_output(ACTIVATIONS[activation](_affine(x, U, b)), V, c)


# attention


def _keep(mask: Tensor, lengths: Tensor, causal: bool, shape: tuple[int, ...]) -> Tensor:
    """Which keys each query may see (B, N, L, S); None where it is all of them."""
    L, S = shape[2:]
    kept = [] if mask is None else [mask]
    if lengths is not None:
        kept.append(jnp.arange(S) < lengths[:, None, None, None])
    if causal:
        # jax's is_causal begins at the first key, ours ends at the last one
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
    return _look(q, k, v, _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2])))


def _look(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keep: Tensor,
    scale: float | None = None,
    bias: Tensor = None,
) -> Tensor:
    """jax.nn.dot_product_attention, which wants keys and values of one size: columns of 0 fill up.

    Its order is (B, L, N, K), ours is (B, N, L, K).
    """
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    columns, J = max(q.shape[-1], v.shape[-1]), v.shape[-1]
    q, k, v = (
        jnp.pad(x.swapaxes(1, 2), [(0, 0)] * 3 + [(0, columns - x.shape[-1])]) for x in (q, k, v)
    )
    y = jax.nn.dot_product_attention(q, k, v, bias=bias, mask=keep, scale=scale)
    return y[..., :J].swapaxes(1, 2)


def _attention_weights(q: Tensor, k: Tensor, **options: Any) -> Tensor:
    # the values are the rows of the identity: what is mixed of them are the weights
    S = k.shape[2]
    return _attention(
        q, k, jnp.broadcast_to(jnp.eye(S, dtype=q.dtype), (*k.shape[:2], S, S)), **options
    )


def _soft_attention(
    scores: Tensor, values: Tensor, lengths: Tensor = None, mask: Tensor = None
) -> tuple[Tensor, Tensor]:
    """Scores as the bias of an attention whose queries and keys are 0."""
    T, B = scores.shape
    q, k = jnp.zeros((B, 1, 1, 1), scores.dtype), jnp.zeros((B, 1, T, 1), scores.dtype)
    rows = jnp.broadcast_to(jnp.eye(T, dtype=scores.dtype), (B, T, T))
    mask = None if mask is None else mask.T[:, None, None]
    keep = _keep(mask, lengths, False, (B, 1, 1, T))
    context, weights = (
        _look(q, k, v[:, None], keep, bias=scores.T[:, None, None])[:, 0, 0]
        for v in (values.swapaxes(0, 1), rows)
    )
    return context, weights.T


def _translation_attention(h_d: Tensor, h_e: Tensor, lengths: Tensor = None) -> Tensor:
    T, B, _ = h_e.shape
    q, k = (h.swapaxes(0, 1)[:, None] for h in (h_d, h_e))
    rows = jnp.broadcast_to(jnp.eye(T, dtype=h_e.dtype), (B, 1, T, T))
    a = _look(q, k, rows, _keep(None, lengths, False, (B, 1, len(h_d), T)), scale=1.0)
    return a[:, 0].transpose(1, 2, 0)


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
    return jax.nn.sigmoid(a), a


def _gan_value_logits(a_real: Tensor, a_fake: Tensor) -> Tensor:
    return jnp.mean(jax.nn.log_sigmoid(a_real)) + jnp.mean(jax.nn.log_sigmoid(-a_fake))


def _gan_saturating_loss(a_fake: Tensor) -> Tensor:
    return jnp.mean(jax.nn.log_sigmoid(-a_fake))


def _gan_non_saturating_loss(a_fake: Tensor) -> Tensor:
    return -jnp.mean(jax.nn.log_sigmoid(a_fake))


def _gan_logit_gradients(a: Tensor) -> tuple[Tensor, Tensor]:
    saturating = jax.grad(lambda x: jnp.sum(jax.nn.log_sigmoid(-x)))
    non_saturating = jax.grad(lambda x: -jnp.sum(jax.nn.log_sigmoid(x)))
    return saturating(a), non_saturating(a)


# numpy in and out


def _split(arguments: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Arrays as jax arrays, and attributes."""
    attributes = {
        n: value for n, value in arguments.items() if isinstance(value, str | int | float)
    }
    arrays = {n: jnp.array(value) for n, value in arguments.items() if n not in attributes}
    return arrays, attributes


def forward_of(function: Callable[..., Any]) -> Callable[..., Array | tuple[Array, ...]]:
    """The operation of NumPy arrays that a function of jax arrays is."""

    def forward(**arguments: Any) -> Array | tuple[Array, ...]:
        arrays, attributes = _split(arguments)
        outputs = function(**arrays, **attributes)
        if isinstance(outputs, tuple):
            return tuple(np.array(output) for output in outputs)
        return np.array(outputs)

    return forward


def vjp_of(name: str, function: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    """The VJP of an operation: that of the function by `jax.vjp`."""

    def vjp(**arguments: Any) -> dict[str, Array]:
        operation = spec().operations[name]
        arrays, attributes = _split(arguments)
        cotangents = tuple(arrays.pop(f"d{output}") for output in operation.cotangents)
        sizes = {
            symbol: size
            for given, shape in operation.inputs.items()
            if given in arrays
            for symbol, size in zip(shape.split(), arrays[given].shape, strict=False)
        }
        for state in operation.states:
            # an absent state is 0, and its gradient is wanted all the same
            shape = dimensions(operation.optional[state], sizes)
            arrays.setdefault(state, jnp.zeros(shape, cotangents[0].dtype))
        wanted = {given: arrays.pop(given) for given in operation.gradients if given in arrays}
        made, pullback = jax.vjp(lambda given: function(**given, **arrays, **attributes), wanted)
        (gradients,) = pullback(cotangents if isinstance(made, tuple) else cotangents[0])
        return {f"d{given}": np.array(gradient) for given, gradient in gradients.items()}

    return vjp


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: jax.nn.sigmoid(x),
    "tanh": lambda x: jnp.tanh(x),
    "softplus": lambda x: jax.nn.softplus(x),
    "relu": lambda x: jax.nn.relu(x),
    "softmax": lambda x, axis=-1: jax.nn.softmax(x, axis=axis),
    "log_softmax": lambda x, axis=-1: jax.nn.log_softmax(x, axis=axis),
    "one_hot": lambda index, size=2500: jax.nn.one_hot(index, size, dtype=jnp.int64),
    "one_hot_product": lambda index, U: jnp.take(U, index, axis=1).T,
    "embedding": lambda index, E: jnp.take(E, index, axis=0),
    "affine": _affine,
    "mlp": _mlp,
    "rnn_output": _rnn_output,
    "rnn_deep_output": _rnn_deep_output,
    "rnn_one_to_one": _rnn_one_to_one,
    "frobenius_norm": lambda A: jnp.linalg.matrix_norm(A),
    "attention_dot_scores": lambda query, keys: jnp.vecdot(keys, query),
    "soft_attention": _soft_attention,
    "attention_weights": _attention_weights,
    "scaled_dot_product_attention": _attention,
    "feed_forward": lambda x, W_1, W_2, b_1=None, b_2=None: _mlp(
        x, W_1, W_2, None, b_1, b_2, None, "relu"
    ),
    "translation_attention": _translation_attention,
    "translation_attentional_state": lambda c, h, W_c, b_c=None: jnp.tanh(
        _affine(jnp.concatenate([c, h], axis=-1), W_c, b_c)
    ),
    "glimpse_action": lambda h, W_a, b_a=None: jax.nn.softmax(_affine(h, W_a, b_a)),
    "gan_generator": _gan_generator,
    "gan_discriminator": _gan_discriminator,
    "gan_value_logits": _gan_value_logits,
    "gan_discriminator_loss": lambda a_real, a_fake: -_gan_value_logits(a_real, a_fake),
    "gan_saturating_loss": _gan_saturating_loss,
    "gan_non_saturating_loss": _gan_non_saturating_loss,
    "gan_logit_gradients": _gan_logit_gradients,
}

for _name, _function in OPERATIONS.items():
    globals()[_name] = forward_of(_function)
    if f"{_name}.vjp" in spec().operations:
        globals()[f"{_name}_vjp"] = vjp_of(_name, _function)
