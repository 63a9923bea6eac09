"""A draft is a case before the oracle: its inputs and why it exists."""

import dataclasses
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnspec.reference.array import Array

FLAGS = {
    "plain": "ordinary values: pairwise different sizes, no symmetry, non-zero state",
    "square": "equal sizes, where a transposed or swapped matrix keeps its shape",
    "isolated": "inputs chosen so that one clause alone decides the result",
    "saturation": "arguments so large that a gate or a score is at its limit",
    "subnormal": "subnormal numbers in the inputs or the results",
    "signed-zero": "negative zero among the inputs",
    "special": "NaN or infinity among the inputs",
    "cancellation": "large terms that cancel",
    "zero-length": "an axis of length 0: no batch, no time steps",
    "lengths": "sequences of different lengths in one batch",
    "long": "many time steps",
    "hand": "worked by hand on paper",
    "kink": "a point without a derivative, where the spec sets one",
    "variant": "a named variant, not the deck's form",
}

BOTH = ("float32", "float64")
NARROW = ("float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Draft:
    """One input set for an operation, made into one case for each of its dtypes.

    `name` is a permanent part of the case's id. `inputs` are float64 (or integer) arrays, cast
    to each dtype; cotangents that a VJP draft leaves out are drawn. `clauses` are those that the
    case decides; empty means every clause of the operation. `exact_zeros` asks for the sign of a
    zero result too; without `flush_allowed` a subnormal result must be right (a value that is
    moved, not computed). A topic's table of `narrowed` adds float16 and bfloat16.
    """

    operation: str
    name: str
    note: str
    inputs: Mapping[str, Any]
    flags: tuple[str, ...] = ("plain",)
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    clauses: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = BOTH
    exact_zeros: bool = False
    flush_allowed: bool = True


def narrowed(drafts: Sequence[Draft], names: Mapping[str, str]) -> list[Draft]:
    """The drafts, some of them in float16 and bfloat16 too: names by operation, set off by spaces.

    Raises ValueError for a name that none of the drafts has.
    """
    wanted = {(operation, name) for operation, words in names.items() for name in words.split()}
    unknown = wanted - {(draft.operation, draft.name) for draft in drafts}
    if unknown:
        raise ValueError(f"no draft {', '.join('-'.join(pair) for pair in sorted(unknown))}")
    return [
        dataclasses.replace(draft, dtypes=(*draft.dtypes, *NARROW))
        if (draft.operation, draft.name) in wanted
        else draft
        for draft in drafts
    ]


def draw(key: str, *shape: int, scale: float = 1.0) -> Array:
    """Decimals in ±scale with four digits, none of them 0, the same on every machine.

    Each key gives its own numbers, so that a new case never changes an old one.
    """
    count = math.prod(shape)
    raw = np.atleast_1d(np.random.PCG64(zlib.crc32(key.encode())).random_raw(count))
    whole = (raw.astype(np.uint64) % np.uint64(19998)).astype(np.int64) - 9999
    whole += whole >= 0
    return np.array([float(f"{w * scale / 1e4:.6g}") for w in whole.tolist()]).reshape(shape)
