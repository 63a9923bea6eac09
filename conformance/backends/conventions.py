"""From the deck's weights to each framework's: one table, and the functions that apply it.

The deck holds one matrix a gate; those of GRU and LSTM act on [h_prev, x], h first. Frameworks
stack the gates of one kind of product in their own order, and most weigh the GRU's old state with z
where the deck weighs the new one: since 1 - σ(a) = σ(-a), the rows of z and its biases change their
sign.

A form lists, for each array of the framework, its blocks from first to last row, in the notation

    U         the whole of U
    W_z.h     its columns that act on h_prev
    W_z.x     its columns that act on x
    b_z.2     the second bias of the same gate: zeros here, and added to b_z on the way back
    -W_z.x    the same with its sign changed

The deck's own form of the GRU (reset before the product) has no entry for torch and cuDNN, whose
layers have no such form.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Tensor = Any  # a numpy array, or whatever slices, negates and is joined by `concatenate`

BLOCK = re.compile(r"(?P<sign>-?)(?P<name>\w+)(\.(?P<part>[hx2]))?")


@dataclasses.dataclass(frozen=True)
class Form:
    """How one framework's layer holds the weights of one operation.

    `arrays` maps its arrays to their blocks. `columns` tells that a matrix holds its outputs in
    columns (inputs, outputs); `directions` that each array has a leading axis of length 1;
    `attributes` are the settings of the layer that give this form.
    """

    arrays: Mapping[str, tuple[str, ...]]
    columns: bool = False
    directions: bool = False
    attributes: Mapping[str, int | bool] = dataclasses.field(default_factory=dict)


FORMS = {
    "onnx.RNN": Form(
        {"W": ("U",), "R": ("W",), "B": ("b", "b.2")},
        directions=True,
    ),
    "torch.RNN": Form(
        {
            "weight_ih": ("U",),
            "weight_hh": ("W",),
            "bias_ih": ("b",),
            "bias_hh": ("b.2",),
        },
    ),
    "keras.SimpleRNN": Form(
        {"kernel": ("U",), "recurrent_kernel": ("W",), "bias": ("b",)},
        columns=True,
    ),
    # gates z, r, h; z weighs the old state
    "onnx.GRU": Form(
        {
            "W": ("-W_z.x", "W_r.x", "W.x"),
            "R": ("-W_z.h", "W_r.h", "W.h"),
            "B": ("-b_z", "b_r", "b", "-b_z.2", "b_r.2", "b.2"),
        },
        directions=True,
        attributes={"linear_before_reset": 0},
    ),
    "keras.GRU": Form(
        {
            "kernel": ("-W_z.x", "W_r.x", "W.x"),
            "recurrent_kernel": ("-W_z.h", "W_r.h", "W.h"),
            "bias": ("-b_z", "b_r", "b"),
        },
        columns=True,
        attributes={"reset_after": False},
    ),
    # the variant has z on the old state, as these layers do: nothing is negated
    "keras.GRU reset after": Form(
        {
            "kernel": ("W_z.x", "W_r.x", "W.x"),
            "recurrent_kernel": ("W_z.h", "W_r.h", "W.h"),
            # the two rows of the layer's one bias
            "bias": ("b_z", "b_r", "b"),
            "bias_recurrent": ("b_z.2", "b_r.2", "b_h"),
        },
        columns=True,
        attributes={"reset_after": True},
    ),
    "onnx.GRU reset after": Form(
        {
            "W": ("W_z.x", "W_r.x", "W.x"),
            "R": ("W_z.h", "W_r.h", "W.h"),
            "B": ("b_z", "b_r", "b", "b_z.2", "b_r.2", "b_h"),
        },
        directions=True,
        attributes={"linear_before_reset": 1},
    ),
    # gates r, z, n; also cuDNN's
    "torch.GRU": Form(
        {
            "weight_ih": ("W_r.x", "W_z.x", "W.x"),
            "weight_hh": ("W_r.h", "W_z.h", "W.h"),
            "bias_ih": ("b_r", "b_z", "b"),
            "bias_hh": ("b_r.2", "b_z.2", "b_h"),
        },
    ),
    # gates i, o, f, c; the peepholes i, o, f
    "onnx.LSTM": Form(
        {
            "W": ("W_i.x", "W_o.x", "W_f.x", "W_g.x"),
            "R": ("W_i.h", "W_o.h", "W_f.h", "W_g.h"),
            "B": ("b_i", "b_o", "b_f", "b_g", "b_i.2", "b_o.2", "b_f.2", "b_g.2"),
        },
        directions=True,
    ),
    "onnx.LSTM peephole": Form(
        {
            "W": ("W_i.x", "W_o.x", "W_f.x", "W_g.x"),
            "R": ("W_i.h", "W_o.h", "W_f.h", "W_g.h"),
            "B": ("b_i", "b_o", "b_f", "b_g", "b_i.2", "b_o.2", "b_f.2", "b_g.2"),
            "P": ("p_i", "p_o", "p_f"),
        },
        directions=True,
    ),
    # gates i, f, g, o; also cuDNN's
    "torch.LSTM": Form(
        {
            "weight_ih": ("W_i.x", "W_f.x", "W_g.x", "W_o.x"),
            "weight_hh": ("W_i.h", "W_f.h", "W_g.h", "W_o.h"),
            "bias_ih": ("b_i", "b_f", "b_g", "b_o"),
            "bias_hh": ("b_i.2", "b_f.2", "b_g.2", "b_o.2"),
        },
    ),
    "keras.LSTM": Form(
        {
            "kernel": ("W_i.x", "W_f.x", "W_g.x", "W_o.x"),
            "recurrent_kernel": ("W_i.h", "W_f.h", "W_g.h", "W_o.h"),
            "bias": ("b_i", "b_f", "b_g", "b_o"),
        },
        columns=True,
    ),
}


def _parsed(blocks: Sequence[str]) -> list[tuple[bool, str, str]]:
    """(negated, name, part) of each block."""
    found = []
    for block in blocks:
        match = BLOCK.fullmatch(block)
        if match is None:
            raise ValueError(f"'{block}' is not a block such as '-W_z.x'")
        found.append((match["sign"] == "-", match["name"], match["part"] or ""))
    return found


def pack(
    form: Form,
    weights: Mapping[str, Tensor],
    zeros: Tensor,  # (H,)
    concatenate: Callable[[list[Tensor]], Tensor] = np.concatenate,
) -> dict[str, Tensor]:
    """The deck's weights as the framework's arrays.

    Biases (the names in b) that `weights` lacks are `zeros`, whose length tells how many columns
    are h's; where it has none at all, the arrays of biases are left out. Raises KeyError for a
    matrix that is missing.
    """
    hidden = len(zeros)
    biased = any(name.startswith("b") for name in weights)
    packed = {}
    for array, blocks in form.arrays.items():
        rows = []
        for negated, name, part in _parsed(blocks):
            if name.startswith("b") and (part == "2" or name not in weights):
                rows.append(zeros)
                continue
            whole = weights[name]
            block = {"": whole, "h": whole[..., :hidden], "x": whole[..., hidden:]}[part]
            rows.append(-block if negated else block)
        if biased or not all(name.startswith("b") for _, name, _ in _parsed(blocks)):
            joined = concatenate(rows)
            joined = joined.T if form.columns and joined.ndim == 2 else joined
            packed[array] = joined[None] if form.directions else joined
    return packed


def unpack(form: Form, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The framework's arrays as the deck's weights, two biases of a gate added up."""
    halves: dict[tuple[str, str], Any] = {}
    for array, blocks in form.arrays.items():
        if array not in arrays:
            continue
        whole = arrays[array][0] if form.directions else arrays[array]
        whole = whole.T if form.columns and whole.ndim == 2 else whole
        for (negated, name, part), rows in zip(
            _parsed(blocks), np.split(whole, len(blocks)), strict=True
        ):
            halves[name, part] = -rows if negated else rows
    weights = {}
    for name, part in halves:
        if part == "x":
            weights[name] = np.concatenate([halves[name, "h"], halves[name, "x"]], axis=-1)
        elif part == "":
            second = halves.get((name, "2"))
            weights[name] = halves[name, ""] if second is None else halves[name, ""] + second
    return weights
