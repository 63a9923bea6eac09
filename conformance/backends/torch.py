"""torch's own layers and functions; no equation of a cell is written here.

Compositions are of whole layers (`nn.RNN`, then `F.linear`, then `torch.tanh`), and a VJP is
`torch.autograd.grad` of the same forward. Not to be confused with the deck's GRU: `nn.GRU` is the
variant that resets after the product, and answers for that alone. What torch makes of padding, of
empty batches or of a row without a key is not touched up.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    linear,
)
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.reference.array import Array
from nnspec.spec.loader import dimensions, spec

Tensor = Any  # torch.Tensor, where torch is installed

INSTALL = "pip install 'nnspec[torch]'"
VERSION = f"torch {torch.__version__}"
DTYPES = ("float32", "float64", "float16", "bfloat16")

_RESET = (
    "nn.GRU resets after the recurrent product and has no option for the deck's form, which"
    " resets before it; see gru_reset_after_step and gru_reset_after_sequence."
)
_PEEPHOLES = "nn.LSTM has no peepholes."
_DRAWS = "torch draws with generators of its own, not from numbers that are given."
_NO_DELTA = "autograd keeps no errors of its own; see bptt_train_step for what it adds up."
_NO_POSITIONS = "torch has no positional encoding."
_DIVERGENCE = "torch.nn.functional.kl_div is the one divergence that torch has."


def _with_vjp(reason: str, *names: str) -> dict[str, str]:
    """The same reason for some operations, and for their VJPs where they have one."""
    known = (f"{name}{suffix}" for name in names for suffix in ("", ".vjp"))
    return {name: reason for name in known if name in spec().operations}


UNSUPPORTED = {
    "captioning": "torch has no captioning model; its cell and its attention answer elsewhere.",
    "glimpse": "torch has no sensor of several scales, which all other steps of the model need.",
    "translation": "torch has no translation model; its attention and its layers answer here.",
    **_with_vjp(_RESET, "gru_step", "gru_sequence", "gru_bidirectional", "gru_stacked"),
    **_with_vjp(_PEEPHOLES, "lstm_peephole_step", "lstm_peephole_sequence"),
    **_with_vjp("nn.LSTM has gates of their own for input and forgetting.", "lstm_coupled_step"),
    **_with_vjp("torch counts no multiplications of a cell.", "recurrent_macs"),
    **_with_vjp(_DRAWS, "gan_prior_uniform", "gan_prior_gaussian", "hard_attention"),
    **_with_vjp("torch's log-density of a normal has its constant, too.", "glimpse_reinforce"),
    **_with_vjp("torch has no gradient by a score function.", "hard_attention_score_gradient"),
    **_with_vjp(_DIVERGENCE, "gan_optimal_discriminator", "gan_jensen_shannon", "gan_criterion"),
    **_with_vjp(_NO_DELTA, "bptt_delta", "bptt_untied", "bptt_gradient", "state_jacobian"),
    **_with_vjp("autograd has no window of time.", "bptt_truncated", "bptt_chunked"),
    **_with_vjp("torch has no bound of a product of Jacobians.", "jacobian_bound"),
    **_with_vjp(
        _NO_POSITIONS,
        *("positional_encoding", "positional_rotation", "transformer_embed"),
        *("contextual_embedding", "transformer_forward"),
    ),
}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda x: x,
}

torch.set_num_threads(1)


def devices() -> list[str]:
    """The devices that torch sees."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(["cuda"] if count else []), *(f"cuda:{n}" for n in range(count))]


def use_device(name: str) -> None:
    """Compute there from now on."""
    torch.set_default_device(name)


# primitives


def _softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(x, dim=axis)


def _affine(x: Tensor, W: Tensor, b: Tensor = None) -> Tensor:
    return linear(x, W, b)


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
    y_1 = f(linear(x, W_1, b_1))
    if W_3 is None:
        return f_out(linear(y_1, W_2, b_2))
    return f_out(linear(f(linear(y_1, W_2, b_2)), W_3, b_3))


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, eps)


# recurrent layers


def _given(**weights: Tensor) -> dict[str, Tensor]:
    return {name: weight for name, weight in weights.items() if weight is not None}


def _parameters(form: str, weights: dict[str, Tensor], biased: bool) -> dict[str, Tensor]:
    """The arrays of one direction of one layer; with biases of 0 where others have biases."""
    first = next(iter(weights.values()))
    zeros = first.new_zeros(len(first))
    if biased and not any(name.startswith("b") for name in weights):
        weights = weights | {FORMS[form].arrays["bias_ih"][0]: zeros}
    return pack(FORMS[form], weights, zeros, torch.cat)


def _biased(weights: dict[str, Tensor]) -> bool:
    return any(name.startswith("b") for name in weights)


def _step(cell: Any, form: str, x: Tensor, state: Any, weights: dict[str, Tensor]) -> Any:
    """One step of nn.RNNCell, nn.GRUCell or nn.LSTMCell with the deck's weights."""
    hidden = len(next(iter(weights.values())))
    # on "meta" the layer draws no weights of its own: the call brings them
    layer = cell(x.shape[-1], hidden, bias=_biased(weights), device="meta")
    return functional_call(layer, _parameters(form, weights, False), (x, state))


def _sequence(
    recurrent: Any,
    form: str,
    X: Any,  # (T, B, I), or packed
    state: Any,  # None, (D, B, H), or a pair of these for nn.LSTM
    sides: Sequence[dict[str, Tensor]],
    lengths: Tensor = None,
    stacked: bool = False,
) -> tuple[Any, Any]:
    """States of nn.RNN, nn.GRU or nn.LSTM and the final states (D, B, H).

    `sides` are the weights of each direction, or of each layer where they are stacked. States are
    packed where lengths are given.
    """
    biased = any(_biased(weights) for weights in sides)
    suffixes = ("_l0", "_l1") if stacked else ("_l0", "_l0_reverse")
    parameters = {
        f"{name}{suffix}": array
        for suffix, weights in zip(suffixes, sides, strict=False)
        for name, array in _parameters(form, weights, biased).items()
    }
    first = next(iter(sides[0].values()))
    data = X.data if isinstance(X, PackedSequence) else X
    layer = recurrent(
        data.shape[-1],
        len(first),
        num_layers=len(sides) if stacked else 1,
        bidirectional=len(sides) == 2 and not stacked,
        bias=biased,
        device="meta",
    )
    try:
        # lengths stay on the cpu, wherever the sequences are
        inputs = (
            X if lengths is None else pack_padded_sequence(X, lengths.cpu(), enforce_sorted=False)
        )
        states, final = functional_call(layer, parameters, (inputs, state))
    except RuntimeError as error:
        if data.numel() and (lengths is None or 0 not in lengths):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise Unsupported(f"torch refuses an empty sequence or batch: {reason}.") from None
    return states, final


def _states(like: Tensor, hidden: int, initial: Sequence[Tensor]) -> Tensor:
    """Initial states of layers or directions on a first axis; 0 for the absent, None for none."""
    if all(state is None for state in initial):
        return None
    zeros = like.new_zeros(like.shape[1], hidden)
    return torch.stack([zeros if state is None else state for state in initial])


def _on_states(f: Callable[[Tensor], Tensor], states: Tensor, steps: int) -> Tensor:
    """A layer on every valid state; packed states are padded with zeros afterwards."""
    if not isinstance(states, PackedSequence):
        return f(states)
    return pad_packed_sequence(states._replace(data=f(states.data)), total_length=steps)[0]


def _tanh_only(activation: str) -> None:
    if activation != "tanh":
        raise Unsupported(f"nn.RNN and nn.RNNCell have tanh and relu, not {activation}.")


def _rnn_step(
    x: Tensor, S_prev: Tensor, U: Tensor, W: Tensor, b: Tensor = None, activation: str = "tanh"
) -> Tensor:
    _tanh_only(activation)
    return _step(nn.RNNCell, "torch.RNN", x, S_prev, _given(U=U, W=W, b=b))


def _rnn_states(
    X: Tensor, U: Tensor, W: Tensor, S_0: Tensor, b: Tensor, lengths: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    _tanh_only(activation)
    state = None if S_0 is None else S_0[None]
    states, final = _sequence(nn.RNN, "torch.RNN", X, state, [_given(U=U, W=W, b=b)], lengths)
    return states, final[0]


def _rnn_output(S: Tensor, V: Tensor, c: Tensor = None, activation: str = "tanh") -> Tensor:
    return ACTIVATIONS[activation](linear(S, V, c))


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
    hidden = ACTIVATIONS[activation](linear(_rnn_output(S, V, c), W_1, b_1))
    return linear(hidden, W_2, b_2)


def _rnn_sequence(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    states, S_T = _rnn_states(X, U, W, S_0, b, lengths, activation)
    return _on_states(lambda S: S, states, len(X)), S_T


def _rnn_unrolled(
    X: Tensor, U: Tensor, W: Tensor, S_0: Tensor = None, b: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_states(X, U, W, S_0, b, None, activation)[1]


def _rnn_one_to_one(
    x: Tensor, U: Tensor, V: Tensor, b: Tensor = None, c: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_output(ACTIVATIONS[activation](linear(x, U, b)), V, c)


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
    S = x.new_zeros(len(x), len(U)) if S_0 is None else S_0
    outputs = [x[None][:0]]  # what no steps at all give
    for _ in range(steps):
        S = _rnn_step(x, S, U, W, b, activation)
        x = _rnn_output(S, V, c)
        outputs.append(x[None])
    return torch.cat(outputs)


def _rnn_many_to_one(
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
    return _rnn_output(_rnn_states(X, U, W, S_0, b, lengths, activation)[1], V, c)


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
    states, _ = _rnn_states(X, U, W, S_0, b, lengths, activation)
    return _on_states(lambda S: _rnn_output(S, V, c), states, len(X))


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
    _, encoded = _rnn_states(X, U_e, W_e, S_0, b_e, lengths, activation)
    return _rnn_output(_rnn_states(Y, U_d, W_d, encoded, b_d, None, activation)[0], V, c)


def _gru_reset_after_step(x: Tensor, h_prev: Tensor, **weights: Tensor) -> Tensor:
    return _step(nn.GRUCell, "torch.GRU", x, h_prev, weights)


def _gru_reset_after_sequence(
    X: Tensor, h_0: Tensor = None, lengths: Tensor = None, **weights: Tensor
) -> tuple[Tensor, Tensor]:
    state = None if h_0 is None else h_0[None]
    states, final = _sequence(nn.GRU, "torch.GRU", X, state, [weights], lengths)
    return _on_states(lambda h: h, states, len(X)), final[0]


def _lstm_step(x: Tensor, h_prev: Tensor, c_prev: Tensor, **weights: Tensor) -> tuple[Tensor, ...]:
    h, c = _step(nn.LSTMCell, "torch.LSTM", x, (h_prev, c_prev), weights)
    return h, c


def _lstm_state(like: Tensor, hidden: int, h_0: Sequence[Tensor], c_0: Sequence[Tensor]) -> Any:
    """The pair that nn.LSTM begins with, 0 for what is absent, None where nothing is given."""
    pair = [_states(like, hidden, states) for states in (h_0, c_0)]
    given = [state for state in pair if state is not None]
    return tuple(torch.zeros_like(given[0]) if s is None else s for s in pair) if given else None


def _lstm_sequence(
    X: Tensor, h_0: Tensor = None, c_0: Tensor = None, lengths: Tensor = None, **weights: Tensor
) -> tuple[Tensor, ...]:
    state = _lstm_state(X, len(weights["W_i"]), [h_0], [c_0])
    states, (h, c) = _sequence(nn.LSTM, "torch.LSTM", X, state, [weights], lengths)
    return _on_states(lambda h: h, states, len(X)), h[0], c[0]


def _side(name: str, arguments: dict[str, Tensor]) -> dict[str, Tensor]:
    """The arguments of one direction or one layer, without its mark."""
    return {n.removesuffix(name): a for n, a in arguments.items() if n.endswith(name)}


def _bidirectional(recurrent: Any, form: str, X: Tensor, **arguments: Any) -> tuple[Tensor, ...]:
    lengths = arguments.pop("lengths", None)
    sides = [_side(name, arguments) for name in ("_fwd", "_bwd")]
    state, sides = _apart(recurrent, X, sides)
    states, final = _sequence(recurrent, form, X, state, sides, lengths)
    finals = final if isinstance(final, tuple) else (final,)
    ends = [end[d] for d in (0, 1) for end in finals]
    return _on_states(lambda h: h, states, len(X)), *ends


def _stacked(recurrent: Any, form: str, X: Tensor, **arguments: Any) -> tuple[Tensor, ...]:
    """Two layers of one size are one nn.LSTM of two layers; of two sizes, one behind the other."""
    lengths = arguments.pop("lengths", None)
    sides = [_side(name, arguments) for name in ("_1", "_2")]
    hidden, above = (len(next(iter(side.values()))) for side in sides)
    if hidden == above:
        state, sides = _apart(recurrent, X, sides)
        states, final = _sequence(recurrent, form, X, state, sides, lengths, stacked=True)
        finals = final if isinstance(final, tuple) else (final,)
        ends = [end[d] for d in (0, 1) for end in finals]
    else:
        states, ends = X, []
        for side in sides:
            state, (weights,) = _apart(recurrent, X, [side])
            packed = lengths if states is X else None
            states, final = _sequence(recurrent, form, states, state, [weights], packed)
            ends += [end[0] for end in (final if isinstance(final, tuple) else (final,))]
    return _on_states(lambda h: h, states, len(X)), *ends


def _apart(
    recurrent: Any, like: Tensor, sides: Sequence[dict[str, Tensor]]
) -> tuple[Any, list[dict[str, Tensor]]]:
    """(initial states, weights) of some directions or layers of one size."""
    states = [[side.get(name) for side in sides] for name in ("S_0", "h_0", "c_0")]
    weights = [{n: a for n, a in side.items() if n not in ("S_0", "h_0", "c_0")} for side in sides]
    hidden = len(next(iter(weights[0].values())))
    if recurrent is nn.LSTM:
        return _lstm_state(like, hidden, states[1], states[2]), weights
    return _states(like, hidden, states[0]), weights


def _rnn_bidirectional(X: Tensor, activation: str = "tanh", **arguments: Any) -> tuple[Tensor, ...]:
    _tanh_only(activation)
    return _bidirectional(nn.RNN, "torch.RNN", X, **arguments)


def _rnn_stacked(X: Tensor, activation: str = "tanh", **arguments: Any) -> tuple[Tensor, ...]:
    _tanh_only(activation)
    return _stacked(nn.RNN, "torch.RNN", X, **arguments)


def _lstm_bidirectional(X: Tensor, **arguments: Any) -> tuple[Tensor, ...]:
    return _bidirectional(nn.LSTM, "torch.LSTM", X, **arguments)


def _lstm_stacked(X: Tensor, **arguments: Any) -> tuple[Tensor, ...]:
    return _stacked(nn.LSTM, "torch.LSTM", X, **arguments)


# backpropagation through time


def _bptt_forward(
    X: Tensor, U: Tensor, W: Tensor, V: Tensor, S_0: Tensor = None, activation: str = "tanh"
) -> tuple[Tensor, Tensor]:
    S, _ = _rnn_states(X, U, W, S_0, None, None, activation)
    return S, _rnn_output(S, V)


def _bptt_unfolded(
    X: Tensor, U: Tensor, W: Tensor, V: Tensor, S_0: Tensor = None, activation: str = "tanh"
) -> tuple[Tensor, Tensor]:
    state = X.new_zeros(X.shape[1], W.shape[1]) if S_0 is None else S_0
    # what no times at all give
    S = [X.new_zeros(0, *state.shape)]
    O = [X.new_zeros(0, len(state), V.shape[1])]
    for X_t, U_t, W_t, V_t in zip(X, U, W, V, strict=True):
        state = _rnn_step(X_t, state, U_t, W_t, activation=activation)
        S.append(state[None])
        O.append(_rnn_output(state, V_t)[None])
    return torch.cat(S), torch.cat(O)


def _descended(
    parameters: Sequence[Tensor], loss: Callable[..., Tensor], lr: float
) -> tuple[list[Tensor], Tensor]:
    """Parameters after one step of torch.optim.SGD on a loss of them, and the loss before."""
    with torch.enable_grad():
        leaves = [parameter.detach().clone().requires_grad_() for parameter in parameters]
        value = loss(*leaves)
        value.backward()
        torch.optim.SGD(leaves, lr=lr).step()
    return [leaf.detach() for leaf in leaves], value.detach()


def _sgd_step(theta: Tensor, g: Tensor, eta: float = 0.01) -> Tensor:
    leaf = theta.clone().requires_grad_()
    leaf.grad = g
    torch.optim.SGD([leaf], lr=eta).step()
    return leaf.detach()


def _clip_gradient_norm(
    g_U: Tensor, g_W: Tensor, g_V: Tensor, threshold: float = 1.0
) -> tuple[Tensor, ...]:
    leaves = [g.clone().requires_grad_() for g in (g_U, g_W, g_V)]
    for leaf, g in zip(leaves, (g_U, g_W, g_V), strict=True):
        leaf.grad = g.clone()
    norm = nn.utils.clip_grad_norm_(leaves, threshold)
    return *(leaf.grad for leaf in leaves), norm


def _bptt_train_step(
    X: Tensor,
    Y: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    activation: str = "tanh",
    eta: float = 0.01,
) -> tuple[Tensor, ...]:
    def loss(U: Tensor, W: Tensor, V: Tensor) -> Tensor:
        _, O = _bptt_forward(X, U, W, V, S_0, activation)
        return nn.functional.mse_loss(O, Y, reduction="sum") / 2

    parameters, value = _descended((U, W, V), loss, eta)
    return *parameters, value


# attention and the Transformer


def _keep(mask: Tensor, lengths: Tensor, causal: bool, shape: Sequence[int]) -> Tensor:
    """Which keys each query may see (B, N, L, S); None where it is all of them."""
    L, S = shape[2:]
    kept = []
    if mask is not None:
        kept.append(mask)
    if lengths is not None:
        kept.append(torch.arange(S) < lengths[:, None, None, None])
    if causal:
        # torch's is_causal begins at the first key, ours ends at the last one
        kept.append(torch.ones(L, S, dtype=torch.bool).tril(S - L))
    if not kept:
        return None
    keep = torch.ones(tuple(shape), dtype=torch.bool)
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
    keep = _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=keep)


def _attention_weights(q: Tensor, k: Tensor, **options: Any) -> Tensor:
    # the values are the rows of the identity: what is mixed of them are the weights
    S = k.shape[2]
    return _attention(q, k, torch.eye(S, dtype=q.dtype).expand(*k.shape[:2], S, S), **options)


def _projections(
    D: int, weights: Sequence[Tensor], biases: Sequence[Tensor], prefix: str = ""
) -> dict[str, Tensor]:
    """Parameters of nn.MultiheadAttention, whose heads share out the size of the model."""
    W_q, W_k, W_v, W_o = weights
    if not len(W_q) == len(W_v) == D:
        raise Unsupported("nn.MultiheadAttention has heads of the model's size over their number.")
    zeros = W_q.new_zeros(D)
    b_q, b_k, b_v, b_o = (zeros if b is None else b for b in biases)
    return {
        f"{prefix}in_proj_weight": torch.cat([W_q, W_k, W_v]),
        f"{prefix}in_proj_bias": torch.cat([b_q, b_k, b_v]),
        f"{prefix}out_proj.weight": W_o,
        f"{prefix}out_proj.bias": b_o,
    }


def _dropped(keep: Tensor) -> Tensor:
    """A mask as nn.MultiheadAttention has it: (B N, L, S), True where a key is dropped."""
    return None if keep is None else ~keep.reshape(-1, *keep.shape[2:])


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
    D = q.shape[-1]
    parameters = _projections(D, (W_q, W_k, W_v, W_o), (b_q, b_k, b_v, b_o))
    keep = _keep(mask, lengths, causal, (len(q), heads, q.shape[1], k.shape[1]))
    layer = nn.MultiheadAttention(D, heads, batch_first=True, device="meta")
    options = {"attn_mask": _dropped(keep), "need_weights": False}
    return functional_call(layer, parameters, (q, k, v), options)[0]


def _feed_forward(
    x: Tensor, W_1: Tensor, W_2: Tensor, b_1: Tensor = None, b_2: Tensor = None
) -> Tensor:
    return linear(torch.relu(linear(x, W_1, b_1)), W_2, b_2)


def _layer_parameters(x: Tensor, arguments: dict[str, Tensor], norms: int) -> dict[str, Tensor]:
    """Parameters of nn.TransformerEncoderLayer or nn.TransformerDecoderLayer."""
    D, hidden = x.shape[-1], len(arguments["W_1"])
    parameters: dict[str, Tensor] = {}
    for ours, theirs in (("self", "self_attn."), ("cross", "multihead_attn.")):
        if f"{ours}_W_q" in arguments:
            weights, biases = (
                [arguments.get(f"{ours}_{kind}_{name}") for name in ("q", "k", "v", "o")]
                for kind in ("W", "b")
            )
            parameters |= _projections(D, weights, biases, theirs)
    for n, size in ((1, hidden), (2, D)):
        parameters[f"linear{n}.weight"] = arguments[f"W_{n}"]
        parameters[f"linear{n}.bias"] = arguments.get(f"b_{n}", x.new_zeros(size))
    for n in range(1, norms + 1):
        parameters[f"norm{n}.weight"] = arguments[f"gamma_{n}"]
        parameters[f"norm{n}.bias"] = arguments[f"beta_{n}"]
    return parameters


def _transformer_layer(layer: Any, x: Tensor, W_1: Tensor, heads: int, norm: str) -> Any:
    return layer(
        x.shape[-1],
        heads,
        dim_feedforward=len(W_1),
        dropout=0.0,
        batch_first=True,
        norm_first=norm == "pre",
        device="meta",
    ).eval()


def _within(y: Tensor, lengths: Tensor) -> Tensor:
    """Padding as the spec has it, 0; torch leaves there what it has computed."""
    if lengths is None:
        return y
    return torch.where((torch.arange(y.shape[1]) < lengths[:, None])[..., None], y, 0)


def _encoder_layer(
    x: Tensor,
    mask: Tensor = None,
    lengths: Tensor = None,
    heads: int = 1,
    norm: str = "post",
    **arguments: Tensor,
) -> Tensor:
    parameters = _layer_parameters(x, arguments, 2)
    layer = _transformer_layer(nn.TransformerEncoderLayer, x, arguments["W_1"], heads, norm)
    keep = _keep(mask, lengths, False, (len(x), heads, x.shape[1], x.shape[1]))
    y = functional_call(layer, parameters, (x,), {"src_mask": _dropped(keep)})
    return _within(y, lengths)


def _decoder_layer(
    x: Tensor,
    memory: Tensor,
    lengths: Tensor = None,
    memory_lengths: Tensor = None,
    heads: int = 1,
    norm: str = "post",
    **arguments: Tensor,
) -> Tensor:
    parameters = _layer_parameters(x, arguments, 3)
    layer = _transformer_layer(nn.TransformerDecoderLayer, x, arguments["W_1"], heads, norm)
    (B, L, _), S = x.shape, memory.shape[1]
    keep = _keep(None, lengths, True, (B, heads, L, L))
    look = _keep(None, memory_lengths, False, (B, heads, L, S))
    masks = {"tgt_mask": _dropped(keep), "memory_mask": _dropped(look)}
    y = functional_call(layer, parameters, (x, memory), masks)
    return _within(y, lengths)


def _additive_scores(
    query: Tensor, keys: Tensor, W_q: Tensor, W_k: Tensor, v: Tensor, b: Tensor = None
) -> Tensor:
    # two layers on [query, key], the matrices side by side
    both = torch.cat([query.expand(len(keys), *query.shape), keys], dim=-1)
    hidden = torch.tanh(linear(both, torch.cat([W_q, W_k], dim=-1), b))
    return linear(hidden, v[None])[..., 0]


def _soft_attention(
    scores: Tensor, values: Tensor, lengths: Tensor = None, mask: Tensor = None
) -> tuple[Tensor, Tensor]:
    """Scores as the additive mask of an attention whose queries and keys are 0."""
    if torch.isneginf(scores).any():
        raise Unsupported("torch's attention takes a score of -inf for a masked one.")
    T, B = scores.shape
    added = scores
    if lengths is not None:
        added = added.masked_fill(torch.arange(T)[:, None] >= lengths, -torch.inf)
    if mask is not None:
        added = added.masked_fill(~mask, -torch.inf)
    q, k = scores.new_zeros(B, 1, 1), scores.new_zeros(B, T, 1)
    rows = torch.eye(T, dtype=scores.dtype).expand(B, T, T)
    context, weights = (
        nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=added.T[:, None])[:, 0]
        for v in (values.swapaxes(0, 1), rows)
    )
    return context, weights.T


def _translation_look(h_d: Tensor, h_e: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """(B, N, …) of the values v (B, T, …), by scores that are not scaled."""
    q, k = (h.swapaxes(0, 1)[:, None] for h in (h_d, h_e))
    keep = _keep(None, lengths, False, (len(q), 1, q.shape[2], k.shape[2]))
    look = nn.functional.scaled_dot_product_attention
    return look(q, k, v[:, None], attn_mask=keep, scale=1.0)[:, 0]


def _translation_attention(h_d: Tensor, h_e: Tensor, lengths: Tensor = None) -> Tensor:
    T, B, _ = h_e.shape
    rows = torch.eye(T, dtype=h_e.dtype).expand(B, T, T)
    return _translation_look(h_d, h_e, rows, lengths).permute(1, 2, 0)


def _translation_attentional_state(c: Tensor, h: Tensor, W_c: Tensor, b_c: Tensor = None) -> Tensor:
    return torch.tanh(linear(torch.cat([c, h], dim=-1), W_c, b_c))


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
    a = _translation_attention(h[None], h_e, lengths)[0]
    c = _translation_look(h[None], h_e, h_e.swapaxes(0, 1), lengths)[:, 0]
    return linear(_translation_attentional_state(c, h, W_c, b_c), W_y, b_y), h, a


# glimpses


def _glimpse_core(g: Tensor, h_prev: Tensor, U: Tensor, W: Tensor, b_h: Tensor = None) -> Tensor:
    weights = _given(U=U, W=W, b=b_h)
    layer = nn.RNNCell(
        g.shape[-1], len(W), bias=_biased(weights), nonlinearity="relu", device="meta"
    )
    return functional_call(layer, _parameters("torch.RNN", weights, False), (g, h_prev))


def _glimpse_action(h: Tensor, W_a: Tensor, b_a: Tensor = None) -> Tensor:
    return torch.softmax(linear(h, W_a, b_a), dim=-1)


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
    seen = torch.relu(linear(rho.flatten(1), W_rho, b_rho))
    place = torch.relu(linear(l, W_l, b_l))
    both = torch.cat([seen, place], dim=-1)
    return torch.relu(linear(both, torch.cat([W_gr, W_gl], dim=-1), b_g))


def _glimpse_location(
    h: Tensor,
    eps: Tensor,
    W_mu: Tensor,
    b_mu: Tensor = None,
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Tensor, Tensor]:
    mu = linear(h, W_mu, b_mu)
    mu = torch.tanh(mu) if mean == "tanh" else mu
    return mu, torch.distributions.transforms.AffineTransform(mu, sigma)(eps)


def _glimpse_baseline(
    h: Tensor, R: Tensor, W_b: Tensor, b_b: Tensor = None
) -> tuple[Tensor, Tensor]:
    b = linear(h, W_b, b_b)[..., 0]
    loss = nn.functional.mse_loss(b, R.expand_as(b), reduction="none")
    return b, loss.mean(dim=1).sum()


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
    options = {"activation": activation, "output_activation": output_activation}
    return _mlp(z, W_G1, W_G2, b_1=b_G1, b_2=b_G2, **options)


def _gan_discriminator(
    x: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor = None,
    b_D2: Tensor = None,
    activation: str = "relu",
) -> tuple[Tensor, Tensor]:
    a = _mlp(x, W_D1, W_D2, b_1=b_D1, b_2=b_D2, activation=activation)[:, 0]
    return torch.sigmoid(a), a


def _real(loss: Callable[..., Tensor], y: Tensor, **options: Any) -> Tensor:
    return loss(y, torch.ones_like(y), **options)


def _fake(loss: Callable[..., Tensor], y: Tensor, **options: Any) -> Tensor:
    return loss(y, torch.zeros_like(y), **options)


def _gan_value(v_real: Tensor, v_fake: Tensor) -> Tensor:
    return -_real(binary_cross_entropy, v_real) - _fake(binary_cross_entropy, v_fake)


def _gan_discriminator_loss(a_real: Tensor, a_fake: Tensor) -> Tensor:
    loss = binary_cross_entropy_with_logits
    return _real(loss, a_real) + _fake(loss, a_fake)


def _gan_value_logits(a_real: Tensor, a_fake: Tensor) -> Tensor:
    return -_gan_discriminator_loss(a_real, a_fake)


def _gan_saturating_loss(a_fake: Tensor) -> Tensor:
    return -_fake(binary_cross_entropy_with_logits, a_fake)


def _gan_non_saturating_loss(a_fake: Tensor) -> Tensor:
    return _real(binary_cross_entropy_with_logits, a_fake)


def _gan_logit_gradients(a: Tensor) -> tuple[Tensor, Tensor]:
    loss = binary_cross_entropy_with_logits
    with torch.enable_grad():
        leaf = a.clone().requires_grad_()
        (fake,) = torch.autograd.grad(-_fake(loss, leaf, reduction="sum"), leaf)
        (real,) = torch.autograd.grad(_real(loss, leaf, reduction="sum"), leaf)
    return fake, real


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

    def loss(W_D1: Tensor, W_D2: Tensor, b_D1: Tensor, b_D2: Tensor) -> Tensor:
        (_, a_real), (_, a_fake) = (
            _gan_discriminator(batch, W_D1, W_D2, b_D1, b_D2, activation) for batch in (x, fake)
        )
        return _gan_discriminator_loss(a_real, a_fake)

    return tuple(_descended((W_D1, W_D2, b_D1, b_D2), loss, eta_D)[0])


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

    def loss(W_G1: Tensor, W_G2: Tensor, b_G1: Tensor, b_G2: Tensor) -> Tensor:
        fake = _gan_generator(z, W_G1, W_G2, b_G1, b_G2, activation, output_activation)
        _, a = _gan_discriminator(fake, W_D1, W_D2, b_D1, b_D2, activation)
        return chosen[generator_loss](a)

    return tuple(_descended((W_G1, W_G2, b_G1, b_G2), loss, eta_G)[0])


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


# numpy in and out


def _tensors(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arrays as tensors of their own memory, on the device; attributes as they are."""
    return {
        name: value if isinstance(value, str | int | float) else _tensor(value)
        for name, value in arguments.items()
    }


def _tensor(value: Any) -> Tensor:
    array = np.array(value, order="C")
    # torch knows NumPy's own dtypes alone: the bits of a bfloat16 pass as integers
    if array.dtype.name == "bfloat16":
        made = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    else:
        made = torch.from_numpy(array)
    return made.to(torch.get_default_device())


def _array(tensor: Tensor) -> Array:
    array: Array
    if tensor.dtype == torch.bfloat16:
        # imported here: there is no such input without it
        from nnspec.conformance.bfloat16 import BFLOAT16

        array = tensor.cpu().view(torch.int16).numpy().view(BFLOAT16)
    else:
        array = tensor.cpu().numpy()
    return array


def _forward(function: Callable[..., Any]) -> Callable[..., Array | tuple[Array, ...]]:
    def forward(**arguments: Any) -> Array | tuple[Array, ...]:
        with torch.no_grad():
            outputs = function(**_tensors(arguments))
        if isinstance(outputs, tuple):
            return tuple(map(_array, outputs))
        return _array(outputs)

    return forward


def _vjp(name: str, function: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    def vjp(**arguments: Any) -> dict[str, Array]:
        operation = spec().operations[name]
        tensors = _tensors(arguments)
        cotangents = {output: tensors.pop(f"d{output}") for output in operation.cotangents}
        sizes = {
            symbol: size
            for given, shape in operation.inputs.items()
            for symbol, size in zip(shape.split(), tensors[given].shape, strict=False)
        }
        for state in operation.states:
            shape = dimensions(operation.optional[state], sizes)
            # an absent state is 0, and its gradient is wanted all the same
            like = next(iter(cotangents.values()))
            tensors.setdefault(state, like.new_zeros(shape))
        wanted = [given for given in operation.gradients if given in tensors]
        outputs = function(
            **{
                given: value.requires_grad_() if given in wanted else value
                for given, value in tensors.items()
            }
        )
        made = outputs if isinstance(outputs, tuple) else (outputs,)
        # an output of no steps at all depends on nothing
        pulled = {
            output: y
            for output, y in zip(operation.outputs, made, strict=True)
            if output in cotangents and y.requires_grad
        }
        if not pulled:
            return {f"d{given}": _array(torch.zeros_like(tensors[given])) for given in wanted}
        gradients = torch.autograd.grad(
            list(pulled.values()),
            [tensors[given] for given in wanted],
            [cotangents[output] for output in pulled],
            allow_unused=True,
            materialize_grads=True,
        )
        return {f"d{given}": _array(g) for given, g in zip(wanted, gradients, strict=True)}

    return vjp


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: torch.sigmoid(x),
    "tanh": lambda x: torch.tanh(x),
    "softplus": lambda x: nn.functional.softplus(x),
    "relu": lambda x: torch.relu(x),
    "softmax": _softmax,
    "log_softmax": lambda x, axis=-1: torch.log_softmax(x, dim=axis),
    "cross_entropy": lambda logits, targets: nn.functional.cross_entropy(logits, targets),
    "layer_norm": _layer_norm,
    "one_hot": lambda index, size=2500: nn.functional.one_hot(index, size),
    "one_hot_product": lambda index, U: nn.functional.embedding(index, U.T),
    "embedding": lambda index, E: nn.functional.embedding(index, E),
    "affine": _affine,
    "mlp": _mlp,
    "rnn_step": _rnn_step,
    "rnn_output": _rnn_output,
    "rnn_deep_output": _rnn_deep_output,
    "rnn_sequence": _rnn_sequence,
    "rnn_unrolled": _rnn_unrolled,
    "rnn_one_to_one": _rnn_one_to_one,
    "rnn_one_to_many": _rnn_one_to_many,
    "rnn_many_to_one": _rnn_many_to_one,
    "rnn_many_to_many": _rnn_many_to_many,
    "rnn_encoder_decoder": _rnn_encoder_decoder,
    "rnn_bidirectional": _rnn_bidirectional,
    "rnn_stacked": _rnn_stacked,
    "gru_reset_after_step": _gru_reset_after_step,
    "gru_reset_after_sequence": _gru_reset_after_sequence,
    "lstm_step": _lstm_step,
    "lstm_sequence": _lstm_sequence,
    "lstm_bidirectional": _lstm_bidirectional,
    "lstm_stacked": _lstm_stacked,
    "bptt_forward": _bptt_forward,
    "bptt_unfolded": _bptt_unfolded,
    "bptt_train_step": _bptt_train_step,
    "sgd_step": _sgd_step,
    "clip_gradient_norm": _clip_gradient_norm,
    "frobenius_norm": lambda A: torch.linalg.matrix_norm(A),
    "attention_weights": _attention_weights,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention": _multi_head_attention,
    "feed_forward": _feed_forward,
    "encoder_layer": _encoder_layer,
    "decoder_layer": _decoder_layer,
    "attention_dot_scores": lambda query, keys: torch.linalg.vecdot(keys, query),
    "attention_general_scores": lambda query, keys, W: nn.functional.bilinear(
        query.expand(len(keys), *query.shape), keys, W[None]
    )[..., 0],
    "attention_additive_scores": _additive_scores,
    "soft_attention": _soft_attention,
    "translation_attention": _translation_attention,
    "translation_attentional_state": _translation_attentional_state,
    "translation_step": _translation_step,
    "glimpse_network": _glimpse_network,
    "glimpse_core": _glimpse_core,
    "glimpse_location": _glimpse_location,
    "glimpse_baseline": _glimpse_baseline,
    "glimpse_action": _glimpse_action,
    "gan_generator": _gan_generator,
    "gan_discriminator": _gan_discriminator,
    "gan_value": _gan_value,
    "gan_value_logits": _gan_value_logits,
    "gan_discriminator_loss": _gan_discriminator_loss,
    "gan_saturating_loss": _gan_saturating_loss,
    "gan_non_saturating_loss": _gan_non_saturating_loss,
    "gan_logit_gradients": _gan_logit_gradients,
    "gan_discriminator_step": _gan_discriminator_step,
    "gan_generator_step": _gan_generator_step,
    "gan_step": _gan_step,
}

for _name, _function in OPERATIONS.items():
    globals()[_name] = _forward(_function)
    if f"{_name}.vjp" in spec().operations:
        globals()[f"{_name}_vjp"] = _vjp(_name, _function)
