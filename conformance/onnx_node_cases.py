"""ONNX's own node-test cases as calls of the reference: expected values that nobody here wrote.

Each case of `onnx.backend.test` is one operator with inputs and expected outputs. Those that the
operations of the spec can express are converted (weights by `conventions.unpack`, layouts, masks),
run on `nnspec.reference`, and compared at ONNX's own tolerance with ONNX's expected outputs, and
with what ONNX's evaluator makes of the same model. For the others there is a reason.
`python -m nnspec.conformance.onnx_node_cases docs/onnx.md` writes the table of that page.
"""

import collections
import functools
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

from nnspec.conformance.backends import reference
from nnspec.conformance.backends.conventions import FORMS, unpack
from nnspec.conformance.suite import as_outputs
from nnspec.reference.array import Array
from nnspec.spec.loader import spec

# in the order of the operator's outputs; None for what no operation gives
Outputs = tuple[Array | None, ...]

BEGIN = "<!-- written by: python -m nnspec.conformance.onnx_node_cases docs/onnx.md -->"
END = "<!-- end of what is written -->"


class Inexpressible(Exception):  # noqa: N818 (a fact about the case, not an error)
    """The operations of the spec cannot express a case; the message says why."""


class Node(NamedTuple):
    """A case's one operator: its attributes, inputs by name, and the outputs that it has."""

    attributes: Mapping[str, Any]
    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]


class Outcome(NamedTuple):
    """What became of one case.

    `expected` and `evaluated` are the largest deviations from ONNX's expected outputs and from its
    evaluator's, as shares of ONNX's tolerance: below 1 is agreement.
    """

    operator: str
    case: str
    reason: str = ""
    operations: frozenset[str] = frozenset()
    omitted: tuple[str, ...] = ()
    expected: float = 0.0
    evaluated: float = 0.0


class Caller:
    """The reference's operations by name, and which of them were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, name: str, *inputs: Array, **options: Any) -> Mapping[str, Array]:
        """The outputs of an operation by name; options that are None are left out."""
        if name not in spec().operations:
            raise Inexpressible(f"there is no operation {name}")
        self.asked.add(name)
        given = {option: value for option, value in options.items() if value is not None}
        return as_outputs(spec().operations[name], getattr(reference, name)(*inputs, **given))


# elementwise and dense


def _unary(operation: str) -> Callable[[Caller, Node], Outputs]:
    def convert(call: Caller, node: Node) -> Outputs:
        return (call(operation, *node.feeds.values(), **node.attributes)["y"],)

    return convert


def _gemm(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
        raise Inexpressible("alpha or beta: a factor")
    a, b = feeds["a"], feeds["b"]
    x = a.T if attributes.get("transA", 0) else a
    W = b if attributes.get("transB", 0) else b.T
    c = feeds.get("c")
    if c is None:
        return (call("affine", x, W)["y"],)
    if c.ndim == 2 and c.shape[0] != 1:
        raise Inexpressible("a bias of its own for each example")
    return (call("affine", x, W, b=np.broadcast_to(c.reshape(-1), W.shape[:1]))["y"],)


def _layer_normalization(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    x, axis = feeds["X"], attributes.get("axis", -1)
    # the axes from the given one on, as one
    rows = x.reshape(*x.shape[: axis % x.ndim], -1)
    gamma, beta = feeds["W"].reshape(-1), feeds["B"].reshape(-1)
    y = call("layer_norm", rows, gamma, beta, eps=attributes.get("epsilon", 1e-5))["y"]
    return y.reshape(x.shape), None, None


def _cross_entropy(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    if "w" in feeds:
        raise Inexpressible("weights of the classes")
    if "ignore_index" in attributes:
        raise Inexpressible("ignore_index")
    if attributes["reduction"] == "sum":
        raise Inexpressible("a sum instead of the mean")
    # the classes last, every place an example
    logits = np.moveaxis(feeds["x"], 1, -1)
    rows, targets = logits.reshape(-1, logits.shape[-1]), feeds["y"].reshape(-1)
    log_p = np.moveaxis(call("log_softmax", logits)["y"], -1, 1)
    if attributes["reduction"] == "mean":
        return call("cross_entropy", rows, targets)["loss"], log_p
    # no reduction is a batch of one for each place
    losses = [
        call("cross_entropy", rows[i : i + 1], targets[i : i + 1])["loss"] for i in range(len(rows))
    ]
    return np.array(losses, dtype=rows.dtype).reshape(feeds["y"].shape), log_p


def _gather(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    data, indices = feeds["data"], feeds["indices"]
    if attributes.get("axis", 0) != 0:
        raise Inexpressible("along another axis than the first")
    if indices.min() < 0:
        raise Inexpressible("a negative index, which is refused here")
    y = call("embedding", indices, data.reshape(len(data), -1))["y"]
    return (y.reshape(*indices.shape, *data.shape[1:]),)


def _one_hot(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    indices, size, values = feeds["indices"], int(feeds["depth"]), feeds["values"]
    if indices.dtype != np.int64 or indices.ndim != 1:
        raise Inexpressible("indices that are not a row of int64")
    if indices.min() < 0 or indices.max() >= size:
        raise Inexpressible("an index outside 0 … depth - 1, which is refused here")
    if attributes.get("axis", -1) not in (1, -1):
        raise Inexpressible("the classes along another axis than the last")
    # values are (off, on): what stands for 0 and for 1
    return (values[call("one_hot", indices, size=size)["y"]],)


# recurrent operators


def _recurrent(operator: str) -> Callable[[Caller, Node], Outputs]:
    topic = operator.lower()

    def convert(call: Caller, node: Node) -> Outputs:
        attributes, feeds = node.attributes, node.feeds
        for name in ("activations", "clip", "input_forget"):
            if name in attributes:
                raise Inexpressible(f"the attribute {name}")
        form = f"onnx.{operator}"
        prefix = topic
        if attributes.get("linear_before_reset", 0):
            form, prefix = "onnx.GRU reset after", "gru_reset_after"
        if "P" in feeds:
            form, prefix = "onnx.LSTM peephole", "lstm_peephole"
        batchwise = attributes.get("layout", 0) == 1
        X = feeds["X"].swapaxes(0, 1) if batchwise else feeds["X"]
        direction = attributes.get("direction", "forward")
        if direction == "reverse" and "sequence_lens" in feeds:
            raise Inexpressible("reverse with lengths, without the other direction")
        # per direction: its weights, and its initial states
        names = {"initial_h": "S_0" if topic == "rnn" else "h_0", "initial_c": "c_0"}
        sides = []
        for d in range(2 if direction == "bidirectional" else 1):
            arrays = {name: feeds[name][d : d + 1] for name in FORMS[form].arrays if name in feeds}
            states = {
                name: (feeds[given].swapaxes(0, 1) if batchwise else feeds[given])[d]
                for given, name in names.items()
                if given in feeds
            }
            sides.append(unpack(FORMS[form], arrays) | states)
        lengths = feeds.get("sequence_lens")
        if direction == "bidirectional":
            both = {
                f"{name}_{side}": value
                for side, given in zip(("fwd", "bwd"), sides, strict=True)
                for name, value in given.items()
            }
            made = call(f"{prefix}_bidirectional", X, lengths=lengths, **both)
            Y = next(iter(made.values()))
            T, B, _ = Y.shape
            Y = Y.reshape(T, B, 2, -1).swapaxes(1, 2)
            finals = [
                np.stack([made[f"{name}_fwd"], made[f"{name}_bwd"]])
                for name in ("S_T", "h_T", "c_T")
                if f"{name}_fwd" in made
            ]
        else:
            backwards = direction == "reverse"
            made = call(
                f"{prefix}_sequence", X[::-1] if backwards else X, lengths=lengths, **sides[0]
            )
            Y, *ends = made.values()
            Y = (Y[::-1] if backwards else Y)[:, np.newaxis]
            finals = [end[np.newaxis] for end in ends]
        if batchwise:
            return Y.transpose(2, 0, 1, 3), *(final.swapaxes(0, 1) for final in finals)
        return Y, *finals

    return convert


# attention


def _heads(x: Array, count: int | None) -> Array:
    """(B, L, heads * K) as (B, heads, L, K)."""
    if x.ndim == 4:
        return x
    assert count is not None
    return x.reshape(*x.shape[:2], count, -1).swapaxes(1, 2)


def _visible(node: Node, L: int, S: int) -> tuple[dict[str, Any], Array]:
    """Which keys a query may see, as options of our operations, and what is added to its scores.

    Both broadcast to (B, N, L, S).
    """
    attributes, mask = node.attributes, node.feeds.get("attn_mask")
    lengths = node.feeds.get("nonpad_kv_seqlen")
    added = np.zeros((L, S), dtype=node.feeds["Q"].dtype)
    first = np.zeros(1, dtype=np.int64)  # the first query's place among the keys
    if "past_key" in node.feeds:
        first = first + node.feeds["past_key"].shape[2]
    if lengths is not None:
        first = lengths - L
    left, right = (attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    causal = bool(attributes.get("is_causal", 0))
    if mask is None and left < 0 and right < 0:
        # what our operations have by themselves; without a cache, ONNX's first query is at 0
        if lengths is None and (not causal or first == S - L):
            return {"causal": causal}, added
        if lengths is not None and not causal:
            return {"lengths": lengths}, added
    i = first[:, None, None, None] + np.arange(L)[:, None]
    j = np.arange(S)
    keep = np.ones((1, 1, L, S), dtype=bool)
    if mask is not None:
        # keys beyond the mask's end are masked
        width = [(0, 0)] * (mask.ndim - 1) + [(0, S - mask.shape[-1])]
        keep = keep & np.pad(mask if mask.dtype == bool else mask > -np.inf, width)
        if mask.dtype != bool:
            added = added + np.pad(np.where(mask > -np.inf, mask, 0), width)
    if lengths is not None:
        keep = keep & (j < lengths[:, None, None, None])
    if causal:
        keep = keep & (j <= i)
    if left >= 0:
        keep = keep & (j >= i - left)
    if right >= 0:
        keep = keep & (j <= i + right)
    return {"mask": keep}, added


def _biased_attention(
    call: Caller,
    node: Node,
    q: Array,  # (B, N, L, D), scaled
    k: Array,  # (B, N, S, D)
    v: Array,  # (B, N, S, E)
    keep: Array,  # broadcasts to (B, N, L, S)
    added: Array,  # broadcasts to (B, N, L, S)
) -> tuple[Array, Array]:
    """Attention whose scores are seen or changed on the way: each query an example of its own.

    Returns y (B, N, L, E), and what ONNX's mode asks for, (B, N, L, S).
    """
    (B, N, L, D), S = q.shape, k.shape[2]
    rows = B * N * L
    keys, values = (
        np.repeat(x.reshape(B * N, S, -1), L, axis=0).swapaxes(0, 1) for x in (k, v)
    )  # (S, rows, …)
    added, keep = (np.broadcast_to(x, (B, N, L, S)).reshape(rows, S).T for x in (added, keep))
    scores = call("attention_dot_scores", q.reshape(rows, D), keys)["scores"]
    softcap = node.attributes.get("softcap", 0.0)
    if softcap:
        limit = scores.dtype.type(softcap)
        scores = limit * call("tanh", scores / limit)["y"]
    made = call("soft_attention", scores + added, values, mask=keep)
    mode = node.attributes.get("qk_matmul_output_mode", 0)
    shown = (scores, scores, np.where(keep, scores + added, -np.inf), made["weights"])[mode]
    return made["context"].reshape(B, N, L, -1), shown.T.reshape(B, N, L, S)


def _attention(call: Caller, node: Node) -> Outputs:
    attributes, feeds = node.attributes, node.feeds
    if attributes.get("softmax_precision", 1) != 1:
        raise Inexpressible("a softmax in another dtype")
    q = _heads(feeds["Q"], attributes.get("q_num_heads"))
    k, v = (_heads(feeds[name], attributes.get("kv_num_heads")) for name in ("K", "V"))
    if "past_key" in feeds:
        k = np.concatenate([feeds["past_key"], k], axis=2)
        v = np.concatenate([feeds["past_value"], v], axis=2)
    present = (k, v)
    (_, N, L, D), S = q.shape, k.shape[2]
    # a group of queries shares one head of keys
    k, v = (np.repeat(x, N // x.shape[1], axis=1) for x in (k, v))
    options, added = _visible(node, L, S)
    scale = attributes.get("scale", 1 / np.sqrt(D))
    mode = attributes.get("qk_matmul_output_mode", 0)
    qk: Array | None = None
    if (
        added.any()
        or attributes.get("softcap", 0.0)
        or ("qk_matmul_output" in node.outputs and mode != 3)
    ):
        keep = options.get("mask", np.ones((L, S), dtype=bool))
        if options.get("causal", False):
            keep = np.tri(L, S, S - L, dtype=bool)
        if "lengths" in options:
            keep = np.arange(S) < options["lengths"][:, None, None, None]
        y, qk = _biased_attention(call, node, q * q.dtype.type(scale), k, v, keep, added)
    else:
        q = q * q.dtype.type(scale * np.sqrt(D))  # our own scale is 1 / √D
        y = call("scaled_dot_product_attention", q, k, v, **options)["y"]
        if mode == 3:
            qk = call("attention_weights", q, k, **options)["p"]
    if feeds["Q"].ndim == 3:
        y = y.swapaxes(1, 2).reshape(*feeds["Q"].shape[:2], -1)
    return y, *present, qk


CONVERTERS: dict[str, Callable[[Caller, Node], Outputs]] = {
    "RNN": _recurrent("RNN"),
    "LSTM": _recurrent("LSTM"),
    "GRU": _recurrent("GRU"),
    "Attention": _attention,
    "Softmax": _unary("softmax"),
    "LogSoftmax": _unary("log_softmax"),
    "LayerNormalization": _layer_normalization,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    "Gemm": _gemm,
    "Gather": _gather,
    "OneHot": _one_hot,
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "Relu": _unary("relu"),
    "Softplus": _unary("softplus"),
}


# the comparison


def share(got: Array, want: Array, relative: float, absolute: float) -> float:
    """The largest deviation as a share of the tolerance; infinite where shape or kind differ."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if not got.size:
        return 0.0
    with np.errstate(all="ignore"):
        errors = np.abs(got - want) / (absolute + relative * np.abs(want))
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return float(np.where(same, 0.0, np.where(np.isnan(errors), np.inf, errors)).max())


def check(case: Any) -> Outcome:
    """One case: converted, run on the reference, compared."""
    node = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {n: v.decode() if isinstance(v, bytes) else v for n, v in attributes.items()}
    ((inputs, wanted),) = case.data_sets
    feeds = dict(zip([name for name in node.input if name], inputs, strict=True))
    call = Caller()
    try:
        for array in feeds.values():
            if array.dtype.kind in "fV" and array.dtype not in (np.float32, np.float64):
                raise Inexpressible("float16 or bfloat16")
        made = CONVERTERS[node.op_type](call, Node(attributes, feeds, tuple(node.output)))
    except Inexpressible as reason:
        return Outcome(node.op_type, case.name, str(reason))
    got = {name: y for name, y in zip(node.output, made, strict=False) if name and y is not None}
    names = [name for name in node.output if name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluated = ReferenceEvaluator(case.model).run(None, feeds)
    deviations = [
        max(
            share(np.asarray(got[n]), np.asarray(w), case.rtol, case.atol)
            for n, w in zip(names, them, strict=True)
            if n in got
        )
        for them in (wanted, evaluated)
    ]
    omitted = tuple(name for name in names if name not in got)
    return Outcome(node.op_type, case.name, "", frozenset(call.asked), omitted, *deviations)


@functools.cache
def node_cases() -> list[Any]:
    """ONNX's node tests of the operators that are converted, in ONNX's order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ONNX's cases overflow on purpose
        found = load_model_tests(kind="node")
    return [
        case
        for case in found
        # the others are the same cases again, an operator written as a graph of smaller ones
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in CONVERTERS
    ]


@functools.cache
def outcomes() -> list[Outcome]:
    """What became of every case."""
    with np.errstate(all="ignore"):
        return [check(case) for case in node_cases()]


def table() -> str:
    """The counts as Markdown: a row for each operator, and the reasons below."""
    lines = [
        f"With onnx {onnx.__version__}:",
        "",
        "| operator | cases | expressible | agree | operations |",
        "|---|---|---|---|---|",
    ]
    reasons = []
    for operator in CONVERTERS:
        found = [outcome for outcome in outcomes() if outcome.operator == operator]
        converted = [outcome for outcome in found if not outcome.reason]
        agree = [o for o in converted if max(o.expected, o.evaluated) <= 1]
        operations = sorted({name for o in converted for name in o.operations})
        lines.append(
            f"| {operator} | {len(found)} | {len(converted)} | {len(agree)}"
            f" | {', '.join(f'`{name}`' for name in operations)} |"
        )
        counts = collections.Counter(o.reason for o in found if o.reason)
        reasons += [f"- {operator}: {reason} ({count})" for reason, count in counts.most_common()]
        left_out = collections.Counter(name for o in converted for name in o.omitted)
        reasons += [
            f"- {operator}: output {name} is not compared ({count})"
            for name, count in left_out.most_common()
        ]
    return "\n".join(
        [*lines, "", "What cannot be expressed, and how many cases that costs:", "", *reasons]
    )


def written(page: str) -> str:
    """A page with the table between its two marks; raises ValueError where they are missing."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no lines '{BEGIN}' and '{END}'")
    return pattern.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
