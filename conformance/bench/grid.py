"""What is timed: the points of the grid, their inputs, and the work that they ask for."""

import dataclasses
import importlib
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, dimensions, spec

# how many matrices W (H, H + I) each recurrent operation has
GATES = {
    "rnn_sequence": 1,
    "gru_sequence": 3,
    "gru_reset_after_sequence": 3,
    "lstm_sequence": 4,
}
SYMBOLS = {"recurrent": "TBIH", "attention": "BNLK", "product": "BIO"}
PASSES = {False: "forward", True: "forward + backward"}


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of the grid: an operation at its sizes, forward or with its gradients."""

    family: str
    operation: str
    sizes: tuple[int, ...]  # by the family's SYMBOLS
    causal: bool = False
    backward: bool = False

    @property
    def shape(self) -> str:
        """The sizes as a table shows them."""
        return "×".join(map(str, self.sizes)) + (" causal" if self.causal else "")

    @property
    def name(self) -> str:
        """What a test, a group and a message call it."""
        return f"{self.operation} {self.shape} {PASSES[self.backward]}"

    @property
    def declared(self) -> Operation:
        """The operation as the spec declares it: the VJP's where the pass goes backward."""
        forward = spec().operations[self.operation]
        return forward.vjp() if self.backward else forward

    @property
    def numbers(self) -> dict[str, int]:
        """Each symbol's size."""
        numbers = dict(zip(SYMBOLS[self.family], self.sizes, strict=True))
        if self.family == "attention":
            numbers |= {"S": numbers["L"], "J": numbers["K"]}
        return numbers

    @property
    def attributes(self) -> dict[str, bool]:
        """The operation's settings."""
        return {"causal": self.causal} if self.family == "attention" else {}

    def inputs(self) -> dict[str, Array]:
        """Every float input by name, the same in each process: initial states and biases too.

        Weights are uniform within ±1/√H or ±1/√I, as the frameworks draw theirs.
        """
        random = np.random.default_rng(zlib.crc32(f"{self.operation} {self.shape}".encode()))
        forward, numbers = spec().operations[self.operation], self.numbers
        shapes = {
            name: dimensions(shape, numbers)
            for name, shape in (forward.inputs | forward.optional).items()
            if name not in (*forward.integers, *forward.booleans)
        }
        bound = (numbers.get("H") or numbers.get("I") or 1) ** -0.5
        drawn = {
            name: random.uniform(-bound, bound, shape)
            if name[0] in "UWb"
            else random.standard_normal(shape)
            for name, shape in shapes.items()
        }
        if self.backward:
            for name in forward.cotangents:
                shape = dimensions(forward.outputs[name], numbers)
                drawn[f"d{name}"] = random.standard_normal(shape)
        return {name: array.astype(np.float32) for name, array in drawn.items()}

    def function(self, package: str) -> Callable[..., Any]:
        """The operation in nnspec.accel or nnspec.reference."""
        module = importlib.import_module(f"nnspec.{package}.{self.declared.topic}")
        function: Callable[..., Any] = getattr(module, self.declared.function)
        return function

    def named(self, result: Any) -> dict[str, Array]:
        """What such a function returned, by the names of its outputs."""
        if isinstance(result, dict):
            return result
        results = result if isinstance(result, tuple) else (result,)
        return dict(zip(self.declared.outputs, results, strict=True))

    @property
    def flops(self) -> float:
        """Floating-point operations of the products, a multiply-add being two.

        The gradients take twice the products of the forward pass, and need its results: those of
        an affine map need none. What an implementation computes a second time to save memory is
        not counted.
        """
        n = self.numbers
        if self.family == "recurrent":
            adds = n["T"] * n["B"] * GATES[self.operation] * n["H"] * (n["I"] + n["H"])
        elif self.family == "attention":
            pairs = n["L"] * (n["L"] + 1) // 2 if self.causal else n["L"] ** 2
            adds = n["B"] * n["N"] * pairs * 2 * n["K"]
        else:
            adds = n["B"] * n["I"] * n["O"]
        if not self.backward:
            return 2.0 * adds
        return 2.0 * adds * (2 if self.family == "product" else 3)

    @property
    def footprint(self) -> int:
        """Bytes of all inputs and outputs, each once."""
        declared, numbers = self.declared, self.numbers
        shapes = declared.inputs | declared.optional
        floats = [
            shape
            for name, shape in shapes.items()
            if name not in (*declared.integers, *declared.booleans)
        ]
        floats += declared.outputs.values()
        return 4 * sum(int(np.prod(dimensions(shape, numbers))) for shape in floats)

    @property
    def recurrent_bytes(self) -> int:
        """Bytes of the weights that each step has to read anew; 0 where there are no steps."""
        if self.family != "recurrent":
            return 0
        return 4 * GATES[self.operation] * self.numbers["H"] ** 2

    @property
    def traffic(self) -> float:
        """Bytes that have to come from a cache or the memory: the footprint, weights each step."""
        steps = self.numbers.get("T", 0) * (2 if self.backward else 1)
        return self.footprint + float(self.recurrent_bytes) * max(steps - 1, 0)


RECURRENT = (
    (128, 1, 32, 32),
    (128, 1, 128, 128),
    (128, 1, 512, 512),
    (128, 16, 128, 128),
    (128, 32, 256, 256),
    (64, 64, 512, 512),
    (1000, 1, 64, 64),
    (16, 256, 64, 64),
)
ATTENTION = ((1, 8, 64, 64), (1, 8, 256, 64), (4, 8, 512, 64), (1, 8, 2048, 64))
PRODUCTS = ((512, 512, 2048), (512, 2048, 512), (1024, 1024, 1024))
BOTH = (False, True)
SDPA = "scaled_dot_product_attention"

GRID = (
    *(Point("recurrent", o, s, backward=b) for o in GATES for b in BOTH for s in RECURRENT),
    *(Point("attention", SDPA, s, c, b) for b in BOTH for c in BOTH for s in ATTENTION),
    *(Point("product", "affine", s, backward=b) for b in BOTH for s in PRODUCTS),
)

# whose peak memory is measured, and the small point that loads and compiles all it needs before
LONG = tuple(
    Point("attention", SDPA, (1, heads, 16384, 64), backward=backward)
    for heads, backward in ((1, False), (1, True), (8, False))
)
WARM = (1, 1, 64, 64)

NAMES = sorted({p.family for p in GRID} | {p.operation for p in GRID} | {"memory"})


def chosen(only: Iterable[str]) -> tuple[list[Point], list[Point]]:
    """The points to time and those to measure the memory of; all where `only` is empty."""
    only = set(only)
    timed = [p for p in GRID if not only or {p.family, p.operation} & only]
    long = [p for p in LONG if not only or "memory" in only]
    return timed, long
