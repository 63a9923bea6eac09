"""Wrong LSTMs, wrong directions and wrong layers."""

import itertools

from nnspec.conformance.mutants import Mutant, mutant

HX = "hx = np.concatenate([h_prev, x], axis=-1)"
GATES = {
    "i": "i_t = sigmoid(preactivation(hx, W_i, b_i))",
    "f": "f_t = sigmoid(preactivation(hx, W_f, b_f))",
    "g": "g_t = np.tanh(preactivation(hx, W_g, b_g))",
    "o": "o_t = sigmoid(preactivation(hx, W_o, b_o))",
}
KEPT = "kept = f_t * c_prev"
CELL = "c = kept + i_t * g_t"
HIDDEN = "h = o_t * np.tanh(c)"
STEP = "return h, c"
SEE_I = "i_t = sigmoid(preactivation(hx, W_i, b_i) + p_i * c_prev)"
SEE_F = "f_t = sigmoid(preactivation(hx, W_f, b_f) + p_f * c_prev)"
SEE_O = "o_t = sigmoid(preactivation(hx, W_o, b_o) + p_o * c)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *orders(),
        *step(),
        *numerical(),
        *step_vjp(),
        *peepholes(),
        *sequence(),
        *sequence_vjp(),
        *variants(),
        *directions(),
        *layers(),
        *equivalent(),
    ]


def orders() -> list[Mutant]:
    """The 23 wrong orders of the three gates and the candidate."""
    found = []
    names = tuple(GATES)
    for order in itertools.permutations(names):
        if order == names:
            continue
        edits = [
            (line, line.replace(f"W_{mine}, b_{mine}", f"W_{other}, b_{other}"))
            for (mine, line), other in zip(GATES.items(), order, strict=True)
            if mine != other
        ]
        found.append(
            mutant(
                "lstm.step",
                f"order_{''.join(order)}",
                f"took the weights in the order {', '.join(order)} for i, f, g, o",
                "lstm_step",
                *edits,
                mend="pass W_i, W_f, W_g and W_o, and their biases, by their names",
            )
        )
    return found


def step() -> list[Mutant]:
    """One step."""
    f = "lstm_step"
    return [
        mutant(
            "lstm.forget_gate",
            "forget_plus_one",
            "added 1 to the forget gate's bias at run time",
            f,
            (GATES["f"], "f_t = sigmoid(preactivation(hx, W_f, b_f) + 1)"),
            mend="put the 1 into the initial b_f",
        ),
        mutant(
            "lstm.memory",
            "no_forget_gate",
            "left the forget gate out, as the cell of 1997 has it",
            f,
            (KEPT, "kept = c_prev"),
        ),
        mutant(
            "lstm.forget_gate",
            "coupled_forget",
            "took 1 - i for the forget gate",
            f,
            (GATES["f"], "f_t = 1 - i_t"),
        ),
        mutant(
            "lstm.input_gate",
            "coupled_input",
            "took 1 - f for the input gate",
            f,
            (CELL, "c = kept + (1 - f_t) * g_t"),
        ),
        mutant(
            "lstm.memory",
            "forget_inverted",
            "forgot with f and kept with 1 - f",
            f,
            (KEPT, "kept = (1 - f_t) * c_prev"),
        ),
        mutant(
            "lstm.memory",
            "kept_squashed",
            "kept tanh(c) instead of c",
            f,
            (KEPT, "kept = f_t * np.tanh(c_prev)"),
        ),
        mutant(
            "lstm.memory",
            "kept_hidden",
            "kept the hidden state instead of the cell",
            f,
            (KEPT, "kept = f_t * h_prev"),
        ),
        mutant(
            "lstm.cell",
            "no_input_gate",
            "let the candidate in without the input gate",
            f,
            (CELL, "c = kept + g_t"),
        ),
        mutant(
            "lstm.cell",
            "forgets_the_new",
            "applied the forget gate after the candidate was added",
            f,
            (KEPT, "kept = c_prev"),
            (CELL, "c = f_t * (kept + i_t * g_t)"),
        ),
        mutant(
            "lstm.cell",
            "cell_squashed",
            "squashed the cell with tanh before it was kept",
            f,
            (CELL, "c = np.tanh(kept + i_t * g_t)"),
        ),
        mutant(
            "lstm.cell",
            "cell_clipped",
            "clipped the cell to ±1",
            f,
            (CELL, "c = np.clip(kept + i_t * g_t, -1, 1)"),
        ),
        mutant(
            "lstm.cell",
            "cell_clipped_late",
            "clipped the cell to ±3, as a cell_clip of 3 does",
            f,
            (CELL, "c = np.clip(kept + i_t * g_t, -3, 3)"),
            mend="set the cell clip to infinity",
        ),
        mutant(
            "lstm.hidden",
            "no_output_tanh",
            "left the tanh of the cell out",
            f,
            (HIDDEN, "h = o_t * c"),
        ),
        mutant(
            "lstm.hidden",
            "tanh_of_the_product",
            "took tanh(o c) for o tanh(c)",
            f,
            (HIDDEN, "h = np.tanh(o_t * c)"),
        ),
        mutant(
            "lstm.hidden",
            "hidden_of_the_old_cell",
            "read the old cell for the output",
            f,
            (HIDDEN, "h = o_t * np.tanh(c_prev)"),
        ),
        mutant(
            "lstm.hidden",
            "no_output_gate",
            "left the output gate out",
            f,
            (HIDDEN, "h = np.tanh(c)"),
        ),
        mutant(
            "lstm.output_gate",
            "output_gate_tanh",
            "used tanh for the output gate",
            f,
            (GATES["o"], GATES["o"].replace("sigmoid", "np.tanh")),
        ),
        mutant(
            "lstm.candidate",
            "linear_candidate",
            "left the tanh of the candidate out",
            f,
            (GATES["g"], GATES["g"].replace("np.tanh", "")),
        ),
        mutant(
            "lstm.candidate",
            "sigmoid_candidate",
            "used the sigmoid for the candidate",
            f,
            (GATES["g"], GATES["g"].replace("np.tanh", "sigmoid")),
        ),
        mutant(
            "lstm.input_gate",
            "hard_sigmoid",
            "used the hard sigmoid for the input gate",
            f,
            (GATES["i"], "i_t = np.clip(preactivation(hx, W_i, b_i) / 6 + 0.5, 0, 1)"),
        ),
        mutant("lstm.step", "h_for_c", "returned h as the cell", f, (STEP, "return h, h")),
        mutant("lstm.step", "c_for_h", "returned c as the output", f, (STEP, "return c, c")),
        mutant("lstm.step", "returns_c_h", "returned c before h", f, (STEP, "return c, h")),
        mutant(
            "lstm.step",
            "x_first",
            "concatenated [x, h] for [h, x]",
            f,
            (HX, HX.replace("[h_prev, x]", "[x, h_prev]")),
            mend="put the columns of h first in each W",
        ),
        mutant(
            "lstm.step",
            "sees_the_cell",
            "fed the gates the cell instead of h",
            f,
            (HX, HX.replace("h_prev", "c_prev")),
        ),
        *(
            mutant(
                "lstm.bias",
                f"no_bias_{letter}",
                f"ignored b_{letter}",
                f,
                (line, line.replace(f"b_{letter}", "None")),
            )
            for letter, line in GATES.items()
        ),
        mutant(
            "lstm.bias",
            "bias_twice",
            "added each bias twice, once for the input and once for the state",
            "preactivation",
            ("affine(hx, W, b=b)", "affine(hx, W, b=b) + (0 if b is None else b)"),
        ),
    ]


def numerical() -> list[Mutant]:
    """Right equations in too few bits, or with a limit of their own."""
    f, a = "lstm_step", "affine(hx, W, b=b)"
    return [
        mutant(
            "lstm.forget_gate",
            "clamped_gate",
            "clamped the pre-activation of f to ±18",
            f,
            (GATES["f"], "f_t = sigmoid(np.clip(preactivation(hx, W_f, b_f), -18, 18))"),
        ),
        mutant(
            "lstm.output_gate",
            "naive_output_gate",
            "wrote σ as e^a / (1 + e^a) in the output gate",
            f,
            (
                GATES["o"],
                "a_o = preactivation(hx, W_o, b_o); o_t = np.exp(a_o) / (1 + np.exp(a_o))",
            ),
        ),
        mutant(
            "lstm.candidate",
            "tanh_1e4",
            "used a tanh good to 1e-4 for the candidate",
            f,
            (GATES["g"], GATES["g"].replace("np.tanh", "wrong.tanh_1e4")),
        ),
        mutant(
            "lstm.candidate",
            "tanh_1e6",
            "used a tanh good to 1e-6 for the candidate",
            f,
            (GATES["g"], GATES["g"].replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            "lstm.hidden",
            "hidden_tanh_1e6",
            "used a tanh good to 1e-6 for the output",
            f,
            (HIDDEN, HIDDEN.replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            "lstm.hidden",
            "hidden_tanh_by_exponentials",
            "wrote the tanh of the cell by exponentials",
            f,
            (HIDDEN, "h = o_t * ((np.exp(c) - np.exp(-c)) / (np.exp(c) + np.exp(-c)))"),
        ),
        mutant(
            "lstm.cell",
            "cell_in_half",
            "kept the cell in float16",
            f,
            (CELL, "c = wrong.half(kept + i_t * g_t)"),
        ),
        mutant(
            "lstm.cell",
            "cell_in_bfloat16",
            "kept the cell in bfloat16",
            f,
            (CELL, "c = wrong.brain(kept + i_t * g_t)"),
        ),
        mutant(
            "lstm.memory",
            "cell_flushed",
            "flushed a subnormal cell to zero",
            f,
            (KEPT, "kept = f_t * wrong.flush(c_prev)"),
        ),
        mutant(
            "lstm.step",
            "product_in_half",
            "accumulated the products in float16",
            "preactivation",
            (a, "wrong.product_in_half(hx, W.T) + (0 if b is None else b)"),
        ),
        mutant(
            "lstm.step",
            "product_in_brain",
            "multiplied in bfloat16",
            "preactivation",
            (a, "wrong.product_in_brain(hx, W.T) + (0 if b is None else b)"),
        ),
    ]


def step_vjp() -> list[Mutant]:
    """The gradients of one step."""
    f, g = "lstm_step_vjp", "through_gates"
    dc_t = "dc_t = dc + dh * o * (1 - m * m)"
    return [
        mutant(
            "lstm.cell",
            "vjp_no_dc",
            "dropped the cell's own error",
            f,
            (dc_t, "dc_t = dh * o * (1 - m * m)"),
        ),
        mutant(
            "lstm.hidden",
            "vjp_no_dh",
            "dropped the error that h sends through the cell",
            f,
            (dc_t, "dc_t = dc"),
        ),
        mutant(
            "lstm.hidden",
            "vjp_no_tanh_derivative",
            "forgot tanh' of the cell",
            f,
            (dc_t, "dc_t = dc + dh * o"),
        ),
        mutant(
            "lstm.hidden",
            "vjp_tanh_derivative_at_c",
            "took 1 - c² for 1 - tanh²(c)",
            f,
            (dc_t, "c = f * c_prev + i * g; dc_t = dc + dh * o * (1 - c * c)"),
        ),
        mutant(
            "lstm.hidden",
            "vjp_no_output_gate",
            "forgot the factor o on the way to the cell",
            f,
            (dc_t, "dc_t = dc + dh * (1 - m * m)"),
        ),
        mutant(
            "lstm.output_gate",
            "vjp_o_of_c",
            "took c for tanh(c) in the gradient of o",
            f,
            ("da_o = dh * m *", "da_o = dh * (f * c_prev + i * g) *"),
        ),
        mutant(
            "lstm.input_gate",
            "vjp_i_derivative",
            "used 1 - i² as the derivative of σ",
            f,
            ("dc_t * g * i * (1 - i)", "dc_t * g * (1 - i * i)"),
        ),
        mutant(
            "lstm.forget_gate",
            "vjp_f_new_cell",
            "took the new cell for the old one in the gradient of f",
            f,
            ("dc_t * c_prev * f * (1 - f)", "dc_t * (f * c_prev + i * g) * f * (1 - f)"),
        ),
        mutant(
            "lstm.forget_gate",
            "vjp_f_derivative",
            "forgot σ' of the forget gate",
            f,
            ("dc_t * c_prev * f * (1 - f)", "dc_t * c_prev * f"),
        ),
        mutant(
            "lstm.candidate",
            "vjp_g_derivative",
            "used g (1 - g) as the derivative of tanh",
            f,
            ("dc_t * i * (1 - g * g)", "dc_t * i * g * (1 - g)"),
        ),
        mutant(
            "lstm.memory",
            "vjp_dc_prev_without_f",
            "handed the cell's error down without the forget gate",
            f,
            ('{"dc_prev": dc_t * f}', '{"dc_prev": dc_t}'),
        ),
        mutant(
            "lstm.memory",
            "vjp_dc_prev_of_dc",
            "handed down dc f and lost what came through h",
            f,
            ('{"dc_prev": dc_t * f}', '{"dc_prev": dc * f}'),
        ),
        mutant(
            "lstm.step",
            "vjp_last_gate_only",
            "kept the error of the last gate for h and x instead of the sum",
            g,
            ("dhx = dhx + da @ W", "dhx = da @ W"),
        ),
        mutant(
            "lstm.step",
            "vjp_x_first",
            "split the error as [x, h]",
            g,
            ('dhx[:, :H], "dx": dhx[:, H:]', 'dhx[:, -H:], "dx": dhx[:, :-H]'),
        ),
        mutant(
            "lstm.step",
            "vjp_batch_mean",
            "averaged the weight gradients over the batch",
            g,
            ("da.T @ hx", "da.T @ hx / max(len(hx), 1)"),
        ),
        mutant(
            "lstm.bias",
            "vjp_bias_mean",
            "averaged the bias gradients over the batch",
            g,
            ("da.sum(axis=0)", "da.sum(axis=0) / max(len(hx), 1)"),
        ),
    ]


def peepholes() -> list[Mutant]:
    """The variant whose gates see the cell."""
    f, g = "lstm_peephole_step", "lstm_peephole_step_vjp"
    clause = "lstm.peephole"
    return [
        mutant(
            clause,
            "peephole_old_cell",
            "let the output gate see the old cell, as WebNN does",
            f,
            (SEE_O, SEE_O.replace("p_o * c", "p_o * c_prev")),
            mend="compute the output gate after the cell",
        ),
        mutant(
            clause,
            "peephole_i_f",
            "exchanged p_i and p_f",
            f,
            (SEE_I, SEE_I.replace("p_i", "p_f")),
            (SEE_F, SEE_F.replace("p_f", "p_i")),
        ),
        mutant(
            clause,
            "peephole_i_o_f",
            "read the peepholes in the order i, o, f, as ONNX packs them",
            f,
            (SEE_F, SEE_F.replace("p_f", "p_o")),
            (SEE_O, SEE_O.replace("p_o", "p_f")),
        ),
        mutant(
            clause,
            "peephole_i_missing",
            "left the peephole of the input gate out",
            f,
            (SEE_I, SEE_I.replace(" + p_i * c_prev", "")),
        ),
        mutant(
            clause,
            "peephole_f_missing",
            "left the peephole of the forget gate out",
            f,
            (SEE_F, SEE_F.replace(" + p_f * c_prev", "")),
        ),
        mutant(
            clause,
            "peephole_o_missing",
            "left the peephole of the output gate out",
            f,
            (SEE_O, SEE_O.replace(" + p_o * c", "")),
        ),
        mutant(
            clause,
            "peephole_squashed",
            "let the output gate see tanh(c)",
            f,
            (SEE_O, SEE_O.replace("p_o * c", "p_o * np.tanh(c)")),
        ),
        mutant(
            clause,
            "peephole_hidden",
            "let the forget gate see h instead of c",
            f,
            (SEE_F, SEE_F.replace("c_prev", "h_prev")),
        ),
        mutant(
            clause,
            "peephole_minus",
            "subtracted the peephole of the input gate",
            f,
            (SEE_I, SEE_I.replace("+ p_i", "- p_i")),
        ),
        mutant(
            clause,
            "peephole_vjp_o_path",
            "dropped the error from the output gate through p_o",
            g,
            (" + da_o * p_o", ""),
        ),
        mutant(
            clause,
            "peephole_vjp_i_path",
            "dropped the error from the input gate through p_i",
            g,
            (" + da_i * p_i", ""),
        ),
        mutant(
            clause,
            "peephole_vjp_f_path",
            "dropped the error from the forget gate through p_f",
            g,
            (" + da_f * p_f", ""),
        ),
        mutant(
            clause,
            "peephole_vjp_dp_o",
            "took dp_o from the old cell",
            g,
            ("(da_o * c).sum", "(da_o * c_prev).sum"),
        ),
        mutant(
            clause,
            "peephole_vjp_dp_mean",
            "averaged dp_i over the batch",
            g,
            ("(da_i * c_prev).sum(axis=0)", "(da_i * c_prev).sum(axis=0) / max(len(x), 1)"),
        ),
        mutant(
            "lstm.peephole_sequence",
            "peephole_sequence_plain",
            "ran the sequence with peepholes of zero",
            "lstm_peephole_sequence",
            (
                '"p_i": p_i, "p_f": p_f, "p_o": p_o',
                '"p_i": 0 * p_i, "p_f": 0 * p_f, "p_o": 0 * p_o',
            ),
        ),
        mutant(
            "lstm.peephole_sequence",
            "peephole_sequence_c_t",
            "returned h_T as the last cell",
            "lstm_peephole_sequence",
            ("return h, h_T, c_T", "return h, h_T, h_T"),
        ),
    ]


def sequence() -> list[Mutant]:
    """Steps in time."""
    f = "states"
    out = "h[t], c[t] = np.where(valid, h_new, 0), np.where(valid, c_new, 0)"
    carry = "h_t, c_t = np.where(valid, h_new, h_t), np.where(valid, c_new, c_t)"
    end = "return h, c, h_t, c_t"
    return [
        mutant(
            "lstm.initial_state",
            "h_0_ignored",
            "started from h = 0 whatever h_0 is",
            f,
            ("if h_0 is None else h_0.copy()", "if True else h_0"),
        ),
        mutant(
            "lstm.initial_state",
            "c_0_ignored",
            "started from c = 0 whatever c_0 is",
            f,
            ("if c_0 is None else c_0.copy()", "if True else c_0"),
        ),
        mutant(
            "lstm.initial_state",
            "states_exchanged",
            "took h_0 for c_0 and c_0 for h_0",
            f,
            ("for t in range(T):", "h_t, c_t = c_t, h_t\n    for t in range(T):"),
        ),
        mutant(
            "lstm.lengths",
            "lengths_ignored",
            "ran every example to T",
            f,
            ("np.full(B, T) if lengths is None else lengths", "np.full(B, T)"),
        ),
        mutant(
            "lstm.lengths",
            "last_of_all",
            "gave h[T - 1] and c[T - 1] as the last states",
            f,
            (end, "return h, c, (h[-1] if T else h_t), (c[-1] if T else c_t)"),
        ),
        mutant(
            "lstm.lengths",
            "zero_length_gives_zero",
            "gave 0 as the last states of an example of length 0, as onnxruntime does",
            f,
            (end, "ran = (steps > 0)[:, None]; return h, c, h_t * ran, c_t * ran"),
        ),
        mutant(
            "lstm.lengths",
            "padding_holds",
            "repeated the last state in the padding",
            f,
            (out, "h[t], c[t] = np.where(valid, h_new, h_t), np.where(valid, c_new, c_t)"),
        ),
        mutant(
            "lstm.lengths",
            "one_too_long",
            "ran one step beyond the length",
            f,
            ("valid = (t < steps)", "valid = (t <= steps)"),
        ),
        mutant(
            "lstm.lengths",
            "cell_runs_on",
            "held h at the length and let c run on",
            f,
            (carry, "h_t, c_t = np.where(valid, h_new, h_t), c_new"),
        ),
        mutant(
            "lstm.lengths",
            "masked_by_product",
            "masked by multiplying with 0",
            f,
            ("x_t = np.where(valid, X[t], 0)", "x_t = X[t]"),
            (out, "h[t], c[t] = valid * h_new, valid * c_new"),
            (carry, "h_t, c_t = valid * h_new + ~valid * h_t, valid * c_new + ~valid * c_t"),
        ),
        mutant(
            "lstm.sequence",
            "first_step_skipped",
            "began with the second step",
            f,
            ("for t in range(T):", "for t in range(1, T):"),
        ),
        mutant(
            "lstm.sequence",
            "reversed_time",
            "ran from the last step to the first",
            f,
            ("for t in range(T):", "for t in reversed(range(T)):"),
        ),
        mutant(
            "lstm.sequence",
            "batch_first",
            "read X as (B, T, I)",
            f,
            ("np.where(valid, X[t], 0)", "np.where(valid, X.reshape(B, T, -1)[:, t], 0)"),
        ),
        mutant(
            "lstm.sequence",
            "cell_reset",
            "began every step with an empty cell",
            f,
            ("step(x_t, h_t, c_t, **parameters)", "step(x_t, h_t, 0 * c_t, **parameters)"),
        ),
        mutant(
            "lstm.sequence",
            "cells_for_states",
            "returned the cells as the outputs",
            "lstm_sequence",
            ("h, _, h_T, c_T = states(", "_, h, h_T, c_T = states("),
        ),
        mutant(
            "lstm.sequence",
            "h_t_for_c_t",
            "returned h_T as the last cell",
            "lstm_sequence",
            ("return h, h_T, c_T", "return h, h_T, h_T"),
        ),
    ]


def sequence_vjp() -> list[Mutant]:
    """Backpropagation through time."""
    f = "through_time"
    down_h = 'dh_t = np.where(valid, d["dh_prev"], dh_t)'
    down_c = 'dc_t = np.where(valid, d["dc_prev"], dc_t)'
    first = "dh_t, dc_t = dh_T.copy(), dc_T.copy()"
    return [
        mutant(
            "lstm.sequence",
            "bptt_no_hidden_error",
            "cut the error that comes back through h",
            f,
            (down_h, "dh_t = 0 * dh_t"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_no_cell_error",
            "cut the error that comes back through the cell",
            f,
            (down_c, "dc_t = 0 * dc_t"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_truncated",
            "cut backpropagation off after three steps",
            f,
            (down_c, down_c + " * (t > T - 3)"),
            (down_h, down_h + " * (t > T - 3)"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_overwritten",
            "kept one time's gradient instead of the sum",
            f,
            ("value + d[name] for name", "d[name] for name"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_time_mean",
            "averaged the gradients over time",
            f,
            (
                '"dc_0": dc_t} | total',
                '"dc_0": dc_t} | {n: v / max(T, 1) for n, v in total.items()}',
            ),
        ),
        mutant(
            "lstm.sequence",
            "bptt_no_final_h",
            "ignored the error of the last h",
            f,
            (first, "dh_t, dc_t = 0 * dh_T, dc_T.copy()"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_no_final_c",
            "ignored the error of the last cell",
            f,
            (first, "dh_t, dc_t = dh_T.copy(), 0 * dc_T"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_only_final",
            "ignored the errors of the states in between",
            f,
            ("np.where(valid, dh[t] + dh_t, 0)", "np.where(valid, dh_t, 0)"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_wrong_state",
            "took h_t for h_{t-1} in the backward pass",
            f,
            ("h[t - 1] if t > 0 else h_first", "h[t]"),
        ),
        mutant(
            "lstm.sequence",
            "bptt_wrong_cell",
            "took c_t for c_{t-1} in the backward pass",
            f,
            ("c[t - 1] if t > 0 else c_first", "c[t]"),
        ),
        mutant(
            "lstm.initial_state",
            "bptt_h_0_zero",
            "took 0 for h_0 in the backward pass",
            f,
            ("h[t - 1] if t > 0 else h_first", "h[t - 1] if t > 0 else 0 * h_first"),
        ),
        mutant(
            "lstm.initial_state",
            "bptt_c_0_zero",
            "took 0 for c_0 in the backward pass",
            f,
            ("c[t - 1] if t > 0 else c_first", "c[t - 1] if t > 0 else 0 * c_first"),
        ),
        mutant(
            "lstm.initial_state",
            "bptt_no_dc_0",
            "returned no error for c_0",
            f,
            ('"dc_0": dc_t', '"dc_0": 0 * dc_t'),
        ),
        mutant(
            "lstm.lengths",
            "bptt_padding_counts",
            "let the errors of padded outputs in",
            f,
            ("np.where(valid, dh[t] + dh_t, 0)", "dh[t] + dh_t"),
        ),
        mutant(
            "lstm.lengths",
            "bptt_final_at_t",
            "sent the errors of the last states in at T - 1 for all",
            f,
            ("np.where(valid, dh[t] + dh_t, 0)", "np.where(valid, dh[t], 0) + dh_t"),
            (down_h, 'dh_t = d["dh_prev"]'),
            (down_c, 'dc_t = d["dc_prev"]'),
        ),
    ]


def variants() -> list[Mutant]:
    """The LSTM that a GRU is, and the counts."""
    f, g, macs = "lstm_coupled_step", "lstm_coupled_step_vjp", "recurrent_macs"
    h, count = "(1 - i_t) * h_prev + i_t * g_t", "product, 3 * product, 4 * product"
    return [
        mutant(
            "lstm.coupled",
            "coupled_swapped",
            "took i for the share of the old state",
            f,
            (h, "i_t * h_prev + (1 - i_t) * g_t"),
        ),
        mutant(
            "lstm.coupled",
            "coupled_same",
            "kept with i instead of 1 - i",
            f,
            (h, "i_t * h_prev + i_t * g_t"),
        ),
        mutant(
            "lstm.coupled",
            "coupled_tanh",
            "squashed the output with tanh",
            f,
            (h, f"np.tanh({h})"),
        ),
        mutant(
            "lstm.coupled",
            "coupled_vjp_kept",
            "forgot what i keeps out in the gradient of i",
            g,
            ("dh * (g - h_prev) * i", "dh * g * i"),
        ),
        mutant(
            "lstm.coupled",
            "coupled_vjp_leak",
            "dropped dh (1 - i) from the gradient of h_prev",
            g,
            ("dh * (1 - i) + d[", "d["),
        ),
        mutant(
            "lstm.macs",
            "macs_three_for_four",
            "counted three products for the LSTM",
            macs,
            (count, "product, 3 * product, 3 * product"),
        ),
        mutant(
            "lstm.macs",
            "macs_candidate_forgotten",
            "counted the gates and not the candidate",
            macs,
            (count, "product, 2 * product, 3 * product"),
        ),
        mutant(
            "lstm.macs",
            "macs_input_only",
            "counted the products with x alone",
            macs,
            ("int(H) * (int(H) + int(I))", "int(H) * int(I)"),
        ),
        mutant(
            "lstm.macs",
            "macs_bias",
            "counted the biases too",
            macs,
            ("(int(H) + int(I))", "(int(H) + int(I) + 1)"),
        ),
        mutant(
            "lstm.macs",
            "macs_flops",
            "counted multiplications and additions apart",
            macs,
            ("product = int(H)", "product = 2 * int(H)"),
        ),
        mutant(
            "lstm.macs",
            "macs_int32",
            "counted in 32 bits",
            macs,
            (
                count,
                "(int(np.int64(n * product).astype(np.int32)) for n in (1, 3, 4))",
            ),
        ),
    ]


def directions() -> list[Mutant]:
    """Two directions, of each of the three networks."""
    found = [
        mutant(
            "lstm.bidirectional",
            "reverse_ignores_lengths",
            "reversed the padding with the sequence",
            "reverse_valid",
            ("np.where(t < steps, steps - 1 - t, t)", "T - 1 - np.where(t < steps, t, t)"),
            mend="reverse each example's valid steps alone",
        ),
        mutant(
            "lstm.bidirectional",
            "reverse_shifted",
            "rotated the sequence by one after reversing it",
            "reverse_valid",
            (
                "np.where(t < steps, steps - 1 - t, t)",
                "np.where(t < steps, np.where(t == 0, 0, steps - t), t)",
            ),
        ),
    ]
    for kind, s in (("rnn", "S"), ("gru", "h"), ("lstm", "h")):
        clause = "lstm.bidirectional" if kind == "lstm" else f"lstm.{kind}_bidirectional"
        f, g = f"{kind}_bidirectional", f"{kind}_bidirectional_vjp"
        flipped = f"reverse_valid({s}_bwd, lengths)"
        joined = f"[{s}_fwd, {flipped}]"
        cells = ", c_T_fwd" if kind == "lstm" else ""
        rest = ", c_T_bwd" if kind == "lstm" else ""
        end = f"return {s}, {s}_T_fwd{cells}, {s}_T_bwd{rest}"
        swapped = f"return {s}, {s}_T_bwd{rest}, {s}_T_fwd{cells}"
        first_output = end.replace(
            f"{s}_T_bwd", f"({s}[-1, :, -{s}_T_bwd.shape[1]:] if len(X) else {s}_T_bwd)"
        )
        found += [
            mutant(
                clause,
                f"{kind}_backward_first",
                "put the backward half before the forward half",
                f,
                (joined, f"[{flipped}, {s}_fwd]"),
            ),
            mutant(
                clause,
                f"{kind}_not_flipped_back",
                "left the backward half in reverse order",
                f,
                (joined, f"[{s}_fwd, {s}_bwd]"),
            ),
            mutant(
                clause,
                f"{kind}_not_reversed",
                "ran both directions forwards",
                f,
                ("X_bwd = reverse_valid(X, lengths)", "X_bwd = X"),
                (joined, f"[{s}_fwd, {s}_bwd]"),
            ),
            mutant(
                clause,
                f"{kind}_same_start",
                "started the backward direction from the forward one's state",
                f,
                (f'"{s}_0": {s}_0_bwd', f'"{s}_0": {s}_0_fwd'),
            ),
            mutant(
                clause,
                f"{kind}_last_states_exchanged",
                "returned the last states of the directions in the wrong order",
                f,
                (end, swapped),
            ),
            mutant(
                clause,
                f"{kind}_backward_last_at_t",
                "gave the backward half at time T - 1 as its last state",
                f,
                (end, first_output),
            ),
            mutant(
                clause,
                f"{kind}_vjp_forward_only",
                "gave dX the forward direction's share alone",
                g,
                (
                    ' + reverse_valid(d_bwd.pop("dX"), lengths)',
                    ' + 0 * d_bwd.pop("dX")',
                ),
            ),
            mutant(
                clause,
                f"{kind}_vjp_not_flipped",
                "added the backward direction's dX in reverse order",
                g,
                ('reverse_valid(d_bwd.pop("dX"), lengths)', 'd_bwd.pop("dX")'),
            ),
            mutant(
                clause,
                f"{kind}_vjp_halves_exchanged",
                "gave each direction the other's half of the error",
                g,
                (
                    f"d{s}[..., :H], reverse_valid(d{s}[..., H:], lengths)",
                    f"d{s}[..., H:], reverse_valid(d{s}[..., :H], lengths)",
                ),
            ),
        ]
    return found


def layers() -> list[Mutant]:
    """Two layers, of each of the three networks."""
    weights = {
        "rnn": "U_{0}, W_{0}",
        "gru": "W_z_{0}, W_r_{0}, W_{0}",
        "lstm": "W_i_{0}, W_f_{0}, W_g_{0}, W_o_{0}",
    }
    found = []
    for kind, s in (("rnn", "S"), ("gru", "h"), ("lstm", "h")):
        clause = "lstm.stacked" if kind == "lstm" else f"lstm.{kind}_stacked"
        f, g = f"{kind}_stacked", f"{kind}_stacked_vjp"
        second = f"{kind}_sequence({s}_1, {weights[kind].format(2)}, **second"
        cells_1, cells_2 = (", c_T_1", ", c_T_2") if kind == "lstm" else ("", "")
        end = f"return {s}_2, {s}_T_1{cells_1}, {s}_T_2{cells_2}"
        found += [
            mutant(
                clause,
                f"{kind}_first_layer_twice",
                "used the first layer's weights in both layers",
                f,
                (second, second.replace(weights[kind].format(2), weights[kind].format(1))),
            ),
            mutant(
                clause,
                f"{kind}_layers_parallel",
                "fed the input to the second layer too",
                f,
                (second, second.replace(f"({s}_1, ", "(X, ")),
            ),
            mutant(
                clause,
                f"{kind}_second_start",
                "started the second layer from zeros",
                f,
                (f'"{s}_0": {s}_0_2', f'"{s}_0": None'),
            ),
            mutant(
                clause,
                f"{kind}_second_runs_on",
                "ran the second layer beyond the lengths",
                f,
                (second, second.replace("**second", '**(second | {"lengths": None})')),
            ),
            mutant(
                clause,
                f"{kind}_second_bias",
                "gave the second layer no bias",
                f,
                ('"b": b_2', '"b": None') if kind != "lstm" else ('"b_f": b_f_2', '"b_f": None'),
            ),
            mutant(
                clause,
                f"{kind}_residual",
                "added the first layer's states to the second's",
                f,
                (end, end.replace(f"{s}_2,", f"{s}_2 + {s}_1,", 1)),
            ),
            mutant(
                clause,
                f"{kind}_vjp_first_layer",
                "stopped the error at the second layer's input",
                g,
                (f'd{s}_1 = d_2.pop("dX")', f'd{s}_1 = 0 * d_2.pop("dX")'),
            ),
            mutant(
                clause,
                f"{kind}_vjp_first_final",
                "ignored the error of the first layer's last state",
                g,
                (f"d{s}_1, d{s}_T_1", f"d{s}_1, 0 * d{s}_T_1"),
            ),
        ]
    return found


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "lstm.step",
            "equal_split",
            "split [h, x] Wᵀ into two products",
            "preactivation",
            (
                "affine(hx, W, b=b)",
                "affine(hx[:, len(W):], W[:, len(W):], b=b) + hx[:, :len(W)] @ W[:, :len(W)].T",
            ),
            equivalent=True,
        ),
        mutant(
            "lstm.step",
            "equal_stacked_gates",
            "multiplied with all four weights at once",
            "lstm_step",
            (HX, HX + "; a = hx @ np.concatenate([W_i, W_f, W_g, W_o]).T; H = len(W_i)"),
            *(
                (
                    line,
                    line.replace(
                        f"preactivation(hx, W_{letter}, b_{letter})",
                        f"a[:, {n} * H:{n + 1} * H] + (0 if b_{letter} is None else b_{letter})",
                    ),
                )
                for n, (letter, line) in enumerate(GATES.items())
            ),
            equivalent=True,
        ),
    ]
