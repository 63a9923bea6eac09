"""The Recurrent Neural Network of the deck: a step, its outputs, sequences and their five types.

Row-vector batches, time first: X (T, B, I), S (T, B, H). Biases are optional, absent in the deck.
Every function runs unchanged on floating arrays and on object arrays; see spec/rnn.md.
"""

import numpy as np

from nnspec.reference.array import Array
from nnspec.reference.primitives import (
    ACTIVATIONS,
    DERIVATIVES,
    affine,
    affine_vjp,
    mlp,
    mlp_vjp,
    sigmoid,
    tanh,
)


def rnn_step(
    x: Array,  # (B, I)
    S_prev: Array,  # (B, H)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    b: Array | None = None,  # (H,)
    activation: str = "tanh",
) -> Array:
    """One step of the memory unit: S_t = tanh(U X_t + W S_{t-1}), or with σ in place of tanh.

    Returns S (B, H). Raises KeyError for an activation other than tanh and sigmoid.
    Source: slides "Recurrent Neural Network Architecture" (tanh) and "Recurrent Neural Network
    Problem" (σ); spec/rnn.md.
    """
    a = affine(x, U, b=b) + S_prev @ W.T
    if activation == "tanh":
        return tanh(a)  # rnn.state
    if activation == "sigmoid":
        return sigmoid(a)  # rnn.state_sigmoid
    raise KeyError(activation)


def rnn_step_vjp(
    x: Array,
    S_prev: Array,
    U: Array,
    W: Array,
    dS: Array,
    *,
    b: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """δ = dS f'(S); dx = δ U, dS_prev = δ W, dU = δᵀ x, dW = δᵀ S_prev, db = sum of δ over B."""
    S = rnn_step(x, S_prev, U, W, b=b, activation=activation)
    delta = dS * DERIVATIVES[activation](S)
    d = {"dx": delta @ U, "dS_prev": delta @ W, "dU": delta.T @ x, "dW": delta.T @ S_prev}
    return d if b is None else d | {"db": delta.sum(axis=0)}


def rnn_output(
    S: Array,  # (B, H)
    V: Array,  # (O, H)
    *,
    c: Array | None = None,  # (O,)
    activation: str = "tanh",
) -> Array:
    """O_t = tanh(V S_t): the output of the hidden layer at time t.

    activation is tanh (the deck's), sigmoid or identity (the bare score). Returns O (B, O).
    Raises KeyError for an unknown activation.
    Source: slide "Recurrent Neural Network Architecture"; spec/rnn.md.
    """
    f = ACTIVATIONS[activation]
    return f(affine(S, V, b=c))  # rnn.output


def rnn_output_vjp(
    S: Array,
    V: Array,
    dO: Array,
    *,
    c: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """δ = dO f'(O); dS = δ V, dV = δᵀ S, dc = sum of δ over B."""
    O_t = rnn_output(S, V, c=c, activation=activation)
    d = affine_vjp(S, V, dO * DERIVATIVES[activation](O_t), b=c)
    return rename(d, x="S", W="V", b="c")


def rnn_deep_output(
    S: Array,  # (B, H)
    V: Array,  # (O, H)
    W_1: Array,  # (M, O)
    W_2: Array,  # (P, M)
    *,
    c: Array | None = None,  # (O,)
    b_1: Array | None = None,  # (M,)
    b_2: Array | None = None,  # (P,)
    activation: str = "tanh",
) -> Array:
    """The final output at time t: O_t = tanh(V S_t) put through a hidden layer and a linear one.

    activation is the hidden layer's: tanh, sigmoid or relu. Returns y (B, P), not squashed.
    Raises KeyError for an unknown activation.
    Source: slide "Recurrent Neural Network Architecture", "multiple hidden layers"; spec/rnn.md.
    """
    O_t = rnn_output(S, V, c=c)
    return mlp(O_t, W_1, W_2, b_1=b_1, b_2=b_2, activation=activation)  # rnn.deep_output


def rnn_deep_output_vjp(
    S: Array,
    V: Array,
    W_1: Array,
    W_2: Array,
    dy: Array,
    *,
    c: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The two layers' VJP gives dO, the output's VJP the rest."""
    O_t = rnn_output(S, V, c=c)
    d_layers = mlp_vjp(O_t, W_1, W_2, dy, b_1=b_1, b_2=b_2, activation=activation)
    dO = d_layers.pop("dx")
    return rnn_output_vjp(S, V, dO, c=c) | d_layers


def rnn_sequence(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """All states of a sequence, and the state after each example's last valid step.

    The same U and W act at every time. Returns S (T, B, H), 0 beyond an example's length, and S_T
    (B, H), which is S_0 where the length is 0. X beyond the length is never used, NaN or not.
    Raises KeyError for an activation other than tanh and sigmoid.
    Source: slide "Recurrent Neural Network Architecture (cont.)", LeCun 2015; spec/rnn.md.
    """
    valid = valid_steps(X, lengths)
    S_t = initial_state(X, W, S_0)
    S = np.zeros_like(X, shape=(len(X), *S_t.shape))
    for t in range(len(X)):
        X_t = np.where(valid[t], X[t], 0)
        S_next = rnn_step(X_t, S_t, U, W, b=b, activation=activation)  # rnn.sequence
        S[t] = np.where(valid[t], S_next, 0)
        S_t = np.where(valid[t], S_next, S_t)  # rnn.lengths
    return S, S_t


def rnn_sequence_vjp(
    X: Array,
    U: Array,
    W: Array,
    dS: Array,
    dS_T: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Backpropagation through time: δ_t = f'(S_t) (dS_t + Wᵀ δ_{t+1}), from the last step back.

    Two sources of error meet in δ_t: the output's at time t and the next memory unit's. Each
    weight's gradient is the sum over all times. Beyond an example's length there is no δ.
    """
    valid = valid_steps(X, lengths)
    S_first = initial_state(X, W, S_0)
    S, _ = rnn_sequence(X, U, W, S_0=S_0, b=b, lengths=lengths, activation=activation)
    dX, dU, dW = np.zeros_like(X), np.zeros_like(U), np.zeros_like(W)
    db = np.zeros_like(X, shape=W.shape[:1])
    dS_next = dS_T.copy()  # the error from the next step's memory unit
    for t in reversed(range(len(X))):
        X_t = np.where(valid[t], X[t], 0)
        # an example that has ended takes no part, whatever its state is
        S_prev = np.where(valid[t], S[t - 1] if t > 0 else S_first, 0)
        delta = np.where(valid[t], (dS[t] + dS_next) * DERIVATIVES[activation](S[t]), 0)
        dX[t] = np.where(valid[t], delta @ U, 0)
        dU = dU + delta.T @ X_t
        dW = dW + delta.T @ S_prev
        db = db + delta.sum(axis=0)
        dS_next = np.where(valid[t], delta @ W, dS_next)
    d = {"dX": dX, "dU": dU, "dW": dW, "dS_0": dS_next}
    return d if b is None else d | {"db": db}


def rnn_unrolled(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    activation: str = "tanh",
) -> Array:
    """S_T as one nested expression f(U X_T + W f(U X_{T-1} + W f(…))), built from the inside out.

    Returns S_T (B, H), the same as the recurrence's; S_0 where T is 0. Not recursive: a call per
    time step would end at Python's recursion limit. Raises KeyError for an unknown activation.
    Source: slide "Recurrent Neural Network Problem"; spec/rnn.md.
    """
    f = ACTIVATIONS[activation]
    nested = initial_state(X, W, S_0)
    for X_t in X:
        nested = f(affine(X_t, U, b=b) + nested @ W.T)  # rnn.unrolled
    return nested


def rnn_unrolled_vjp(
    X: Array,
    U: Array,
    W: Array,
    dS_T: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The recurrence's VJP where S_T alone has a cotangent, since both forms are one function."""
    dS = np.zeros_like(X, shape=(len(X), *dS_T.shape))
    return rnn_sequence_vjp(X, U, W, dS, dS_T, S_0=S_0, b=b, activation=activation)


def rnn_one_to_one(
    x: Array,  # (B, I)
    U: Array,  # (H, I)
    V: Array,  # (O, H)
    *,
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    activation: str = "tanh",
) -> Array:
    """O = tanh(V f(U x)): the traditional network with one hidden layer, no memory.

    Returns O (B, O). Raises KeyError for an unknown activation.
    Source: slide "Types of Recurrent Neural Networks", one-to-one; spec/rnn.md.
    """
    S = ACTIVATIONS[activation](affine(x, U, b=b))
    return rnn_output(S, V, c=c)  # rnn.one_to_one


def rnn_one_to_one_vjp(
    x: Array,
    U: Array,
    V: Array,
    dO: Array,
    *,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The two layers' VJP, with the names of U and V."""
    d = mlp_vjp(x, U, V, dO, b_1=b, b_2=c, activation=activation, output_activation="tanh")
    return rename(d, W_1="U", W_2="V", b_1="b", b_2="c")


def rnn_one_to_many(
    x: Array,  # (B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (I, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (I,)
    activation: str = "tanh",
    steps: int = 1,
) -> Array:
    """The first step's input is x, and every later step's is the output before it.

    Returns O (steps, B, I). Not the form that repeats x at every step, nor the one that is fed
    zeros. Raises KeyError for an unknown activation.
    Source: slide "Types of Recurrent Neural Networks", one-to-many; spec/rnn.md.
    """
    S_t, X_t = initial_state(x[np.newaxis], W, S_0), x
    outputs = np.zeros_like(x, shape=(steps, *x.shape))
    for t in range(steps):
        S_t = rnn_step(X_t, S_t, U, W, b=b, activation=activation)
        X_t = rnn_output(S_t, V, c=c)  # rnn.one_to_many
        outputs[t] = X_t
    return outputs


def rnn_one_to_many_vjp(
    x: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
    steps: int = 1,
) -> dict[str, Array]:
    """Backpropagation through time, where O_t has an error of its own: the next step's input."""
    S, X = [initial_state(x[np.newaxis], W, S_0)], [x]
    for _ in range(steps):
        S.append(rnn_step(X[-1], S[-1], U, W, b=b, activation=activation))
        X.append(rnn_output(S[-1], V, c=c))
    dU, dW, dV = np.zeros_like(U), np.zeros_like(W), np.zeros_like(V)
    db, dc = np.zeros_like(x, shape=W.shape[:1]), np.zeros_like(x, shape=V.shape[:1])
    dS_next, dx_next = np.zeros_like(S[0]), np.zeros_like(x)
    for t in reversed(range(steps)):
        output = rnn_output_vjp(S[t + 1], V, dO[t] + dx_next, c=c)
        dS_t = output["dS"] + dS_next
        step = rnn_step_vjp(X[t], S[t], U, W, dS_t, b=b, activation=activation)
        dU, dW, dV = dU + step["dU"], dW + step["dW"], dV + output["dV"]
        db = db if b is None else db + step["db"]
        dc = dc if c is None else dc + output["dc"]
        dS_next, dx_next = step["dS_prev"], step["dx"]
    d = {"dx": dx_next, "dU": dU, "dW": dW, "dV": dV, "dS_0": dS_next}
    return d | ({} if b is None else {"db": db}) | ({} if c is None else {"dc": dc})


def rnn_many_to_one(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """One output for a whole sequence: O = tanh(V S_T), from the state after the last valid step.

    Returns O (B, O). Not the output of step T - 1 in the padding, nor a mean over time. Raises
    KeyError for an unknown activation.
    Source: slide "Types of Recurrent Neural Networks", many-to-one; spec/rnn.md.
    """
    _, S_T = rnn_sequence(X, U, W, S_0=S_0, b=b, lengths=lengths, activation=activation)
    return rnn_output(S_T, V, c=c)  # rnn.many_to_one


def rnn_many_to_one_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The output's VJP gives dS_T, the sequence's VJP the rest."""
    options = {"S_0": S_0, "b": b, "lengths": lengths}
    S, S_T = rnn_sequence(X, U, W, **options, activation=activation)
    d_output = rnn_output_vjp(S_T, V, dO, c=c)
    dS, dS_T = np.zeros_like(S), d_output.pop("dS")
    return rnn_sequence_vjp(X, U, W, dS, dS_T, **options, activation=activation) | d_output


def rnn_many_to_many(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """An output for each step: O_t = tanh(V S_t).

    Returns O (T, B, O), 0 beyond an example's length. Raises KeyError for an unknown activation.
    Source: slide "Types of Recurrent Neural Networks", many-to-many; spec/rnn.md.
    """
    S, _ = rnn_sequence(X, U, W, S_0=S_0, b=b, lengths=lengths, activation=activation)
    # by selection: tanh(V 0 + c) is not 0
    return np.where(valid_steps(X, lengths), rnn_output(S, V, c=c), 0)  # rnn.many_to_many


def rnn_many_to_many_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The output's VJP, all times as one batch, gives dS; the sequence's VJP the rest."""
    options = {"S_0": S_0, "b": b, "lengths": lengths}
    S, S_T = rnn_sequence(X, U, W, **options, activation=activation)
    T, B, H = S.shape
    dO_valid = np.where(valid_steps(X, lengths), dO, 0)
    rows, d_rows = S.reshape(T * B, H), dO_valid.reshape(T * B, len(V))
    d_output = rnn_output_vjp(rows, V, d_rows, c=c)
    dS, dS_T = d_output.pop("dS").reshape(T, B, H), np.zeros_like(S_T)
    return rnn_sequence_vjp(X, U, W, dS, dS_T, **options, activation=activation) | d_output


def rnn_encoder_decoder(
    X: Array,  # (T, B, I)
    Y: Array,  # (N, B, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """The encoder reads X; its last valid state starts the decoder, which reads the teacher's Y.

    lengths are X's; the decoder runs all N steps. Returns O (N, B, O). Not the form whose context
    is given to every decoder step. Raises KeyError for an unknown activation.
    Source: slide "Types of Recurrent Neural Networks", machine translation; spec/rnn.md.
    """
    _, S_T = rnn_sequence(X, U_e, W_e, S_0=S_0, b=b_e, lengths=lengths, activation=activation)
    decoder = {"S_0": S_T, "b": b_d, "c": c}
    return rnn_many_to_many(Y, U_d, W_d, V, **decoder, activation=activation)  # rnn.encoder_decoder


def rnn_encoder_decoder_vjp(
    X: Array,
    Y: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b_e: Array | None = None,
    b_d: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The decoder's gradient of its initial state is the encoder's cotangent of its last."""
    encoder = {"S_0": S_0, "b": b_e, "lengths": lengths}
    S, S_T = rnn_sequence(X, U_e, W_e, **encoder, activation=activation)
    decoder = {"S_0": S_T, "b": b_d, "c": c}
    d_decoder = rnn_many_to_many_vjp(Y, U_d, W_d, V, dO, **decoder, activation=activation)
    dS, dS_T = np.zeros_like(S), d_decoder.pop("dS_0")
    d_encoder = rnn_sequence_vjp(X, U_e, W_e, dS, dS_T, **encoder, activation=activation)
    return rename(d_encoder, U="U_e", W="W_e", b="b_e") | rename(
        d_decoder, X="Y", U="U_d", W="W_d", b="b_d"
    )


def initial_state(X: Array, W: Array, S_0: Array | None) -> Array:
    """S_0, a copy, or zeros (B, H) where it is not given."""
    zero = np.zeros_like(X, shape=(X.shape[1], W.shape[0]))
    return zero if S_0 is None else S_0.copy()  # rnn.initial_state


def valid_steps(X: Array, lengths: Array | None) -> Array:
    """(T, B, 1): whether step t lies within the length of example b; all do without lengths."""
    T, B = X.shape[:2]
    if lengths is None:
        return np.ones((T, B, 1), dtype=bool)
    within: Array = np.arange(T)[:, np.newaxis, np.newaxis] < lengths[:, np.newaxis]
    return within


def rename(d: dict[str, Array], **names: str) -> dict[str, Array]:
    """The gradients d with dOLD called dNEW for each OLD="NEW"."""
    called = {f"d{old}": f"d{new}" for old, new in names.items()}
    return {called.get(name, name): gradient for name, gradient in d.items()}
