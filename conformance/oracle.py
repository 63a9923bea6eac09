"""Truth, proof and budget of a case, all by running the reference function on other numbers.

- `truth`: balls with rising precision, until every output rounds to one float64 and the witness
  agrees to 1e-50.
- `prove_vjp`: <u, J v> = <Jᵀ u, v> to 1e-50, J v by dual numbers through reference and witness.
- `budget`: 64 runs with random rounding in the case's dtype.
"""

import contextlib
import importlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from flint import arb, ctx

from nnspec.conformance.cases.draft import draw
from nnspec.conformance.formats import LIMITS
from nnspec.conformance.number_types import (
    Ball,
    Dual,
    Noisy,
    NoisyArray,
    Rounding,
    Undecided,
    objects,
)
from nnspec.conformance.suite import as_outputs, flat
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec

FIRST_BITS = 256
MOST_BITS = 1 << 16
AGREEMENT = "1e-50"
# stands for 0 where a result is exactly 0 but its ball is not: far below the least float64
NOTHING = "1e-400"

Arguments = Mapping[str, Any]


class OracleError(ArithmeticError):
    """The truth of a case cannot be established, or two transcriptions disagree."""


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls of so many bits inside the block."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def rising(most: int = MOST_BITS) -> Iterator[int]:
    """256, 512, … bits."""
    bits = FIRST_BITS
    while bits <= most:
        yield bits
        bits *= 2


def reference(operation: Operation) -> Callable[..., Any]:
    """The reference function of an operation."""
    module = importlib.import_module(f"nnspec.reference.{operation.topic}")
    function: Callable[..., Any] = getattr(module, operation.function)
    return function


def witness(operation: Operation) -> Callable[..., Any]:
    """The scalar transcription of a forward operation."""
    module = importlib.import_module(f"nnspec.conformance.witness.{operation.topic}")
    function: Callable[..., Any] = getattr(module, operation.function)
    return function


def evaluate(
    function: Callable[..., Any], operation: Operation, arguments: Arguments
) -> dict[str, list[Any]]:
    """The flat outputs of a function on these arguments, floating-point warnings off."""
    with np.errstate(all="ignore"):
        outputs = as_outputs(operation, function(**arguments))
    return {name: flat(value) for name, value in outputs.items()}


def cast(arguments: Arguments, make: Callable[[float], Any]) -> dict[str, Any]:
    """The arguments with every floating array as objects made by `make`."""
    return {
        name: objects(value, make) if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }


def enclosure(x: Any) -> Any:
    """The ball of an output element, which may be a plain number where nothing was computed."""
    return x.v if isinstance(x, Ball | Dual) else arb(x)


def to_float(exact: Any) -> float:
    """The float64 nearest to an exact ball, ties to even, subnormals included."""
    mantissa, exponent = (int(part) for part in exact.man_exp())
    size = mantissa.bit_length() + exponent
    if size < -1080:
        return 0.0
    if size > 1025:
        return float("inf") if mantissa > 0 else float("-inf")
    # the quotient of two integers is correctly rounded in Python
    return mantissa / (1 << -exponent) if exponent < 0 else float(mantissa << exponent)


def proven(v: Any) -> float | None:
    """The one float64 that every number in the ball rounds to, or None."""
    if not v.is_finite():
        return None
    low, high = to_float(v.lower()), to_float(v.upper())
    return low + 0.0 if low == high else None


def agree(a: Any, b: Any) -> bool | None:
    """Whether |a - b| <= 1e-50 |a|; None where these balls cannot tell."""
    difference = a - b
    if difference.abs_upper() <= arb(AGREEMENT) * a.abs_lower() + arb(NOTHING):
        return True
    return None if difference.contains(0) else False


def is_special(arguments: Arguments) -> bool:
    """Whether an input holds a NaN or an infinity."""
    return any(
        isinstance(value, np.ndarray) and not np.isfinite(value).all()
        for value in arguments.values()
    )


def ieee(operation: Operation, arguments: Arguments) -> dict[str, list[float]]:
    """The outputs in float64 arithmetic, on which reference and witness must agree in kind.

    It decides what no ball can: which outputs of a special input are NaN or infinite, and the
    signs of zeros.
    """
    wide = {
        name: value.astype(np.float64)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
        for name, value in arguments.items()
    }
    outputs = evaluate(reference(operation), operation, wide)
    if operation.name == operation.base:
        second = evaluate(witness(operation), operation, wide)
        for name, values in outputs.items():
            for index, (a, b) in enumerate(zip(values, map(float, second[name]), strict=True)):
                if np.isnan(a) != np.isnan(b) or ((np.isinf(a) or np.isinf(b)) and a != b):
                    raise OracleError(
                        f"{operation.name}: {name}[{index}] is {a} in reference and {b} in"
                        " witness, in float64 arithmetic"
                    )
    return outputs


def truth(
    operation: Operation,
    arguments: Arguments,
    *,
    exact_zeros: bool = False,
    most_bits: int = MOST_BITS,
) -> dict[str, Array]:
    """Every output as the float64 nearest to the exact result, proven so.

    `arguments` are the input arrays, exact in their dtype, and the attributes. Raises OracleError
    where `most_bits` do not suffice or where the witness disagrees.
    """
    special = is_special(arguments)
    floats = ieee(operation, arguments) if special or exact_zeros else {}
    shapes: dict[str, tuple[int, ...]] = {}
    for bits in rising(most_bits):
        with precision(bits), contextlib.suppress(Undecided):
            balls = cast(arguments, Ball)
            with np.errstate(all="ignore"):
                outputs = as_outputs(operation, reference(operation)(**balls))
            shapes = {name: np.shape(value) for name, value in outputs.items()}
            second = (
                evaluate(witness(operation), operation, balls)
                if operation.name == operation.base
                else {}
            )
            found = {
                name: _settled(
                    operation, name, flat(value), second.get(name), floats.get(name), special
                )
                for name, value in outputs.items()
            }
            if all(values is not None for values in found.values()):
                return {
                    name: np.array(values, dtype=np.float64).reshape(shapes[name])
                    for name, values in found.items()
                }
    raise OracleError(f"{operation.name}: {most_bits} bits do not decide the result")


def _settled(
    operation: Operation,
    name: str,
    first: list[Any],
    second: list[Any] | None,
    floats: list[float] | None,
    special: bool,
) -> list[float] | None:
    """The proven values of one output; None where more bits are needed."""
    values: list[float] = []
    if second is not None and len(second) != len(first):
        raise OracleError(
            f"{operation.name}: {name} has {len(first)} elements in reference and"
            f" {len(second)} in witness"
        )
    for index, x in enumerate(first):
        if special and floats is not None and not np.isfinite(floats[index]):
            values.append(floats[index])
            continue
        ball = enclosure(x)
        value = proven(ball)
        if value is None:
            return None
        if second is not None:
            same = agree(ball, enclosure(second[index]))
            if same is False:
                raise OracleError(
                    f"{operation.name}: {name}[{index}] is {value!r} in reference and"
                    f" {float(enclosure(second[index]))!r} in witness"
                )
            if same is None:
                return None
        if value == 0 and floats is not None:
            value = float(np.copysign(0.0, floats[index]))
        values.append(value)
    return values


def prove_vjp(operation: Operation, arguments: Arguments, key: str, *, kinks: bool = False) -> None:
    """Prove <u, J v> = <Jᵀ u, v> for the cotangents u in `arguments` and drawn directions v.

    J v comes from dual numbers through the reference's forward function, and once more through the
    witness; Jᵀ u from the hand-written VJP on balls. `kinks` leaves out the direction of inputs
    that are exactly 0, where the derivative is a convention. Of a special input, the outputs and
    the gradients that `ieee` finds not finite are left out of both sums: no other gradient may
    depend on those outputs. Raises OracleError where it fails.
    """
    forward = spec().operations[operation.base]
    cotangents = {f"d{name}": name for name in forward.cotangents}
    inputs = {name: value for name, value in arguments.items() if name not in cotangents}
    special = is_special(arguments)
    floats = ieee(forward, inputs) | ieee(operation, arguments) if special else {}
    for bits in rising():
        with precision(bits), contextlib.suppress(Undecided):
            gradients = evaluate(reference(operation), operation, cast(arguments, Ball))
            duals = cast(inputs, lambda value: Dual(arb(value), arb(0)))
            directions = dict[str, list[float]]()
            for name in forward.gradients:
                if f"d{name}" not in gradients:
                    continue
                value = inputs.get(name)
                if value is None:
                    value = _absent_state(operation, arguments, name)
                direction = draw(f"{key} direction {name}", *value.shape)
                direction[~np.isfinite(value)] = 0
                if special:
                    direction[~np.isfinite(np.reshape(floats[f"d{name}"], value.shape))] = 0
                if kinks:
                    direction[value == 0] = 0
                directions[name] = direction.reshape(-1).tolist()
                made = np.empty(value.shape, dtype=object)
                made.reshape(-1)[:] = [
                    Dual(arb(v), arb(d))
                    for v, d in zip(
                        value.astype(np.float64).reshape(-1).tolist(),
                        directions[name],
                        strict=True,
                    )
                ]
                duals[name] = made
            right, scale = arb(0), arb(NOTHING)
            for name, direction_list in directions.items():
                for g, d in zip(gradients[f"d{name}"], direction_list, strict=True):
                    if d:
                        term = enclosure(g) * d
                        right, scale = right + term, scale + abs(term)
            undecided = False
            for which, function in (
                ("reference", reference(forward)),
                ("witness", witness(forward)),
            ):
                pushed = evaluate(function, forward, duals)
                left = arb(0)
                for cotangent, name in cotangents.items():
                    finite = np.isfinite(floats[name]) if special else [True] * len(pushed[name])
                    for u, y, counts in zip(
                        flat(arguments[cotangent]), pushed[name], finite, strict=True
                    ):
                        if counts and isinstance(y, Dual):
                            left = left + arb(float(u)) * y.d
                difference = left - right
                if difference.abs_upper() <= arb(AGREEMENT) * scale.abs_lower() + arb(NOTHING):
                    continue
                if not difference.contains(0):
                    raise OracleError(
                        f"{operation.name}: <u, J v> = {float(left)!r} by duals through the"
                        f" {which}, <Jᵀ u, v> = {float(right)!r} by the VJP"
                    )
                undecided = True
            if not undecided:
                return
    raise OracleError(f"{operation.name}: {MOST_BITS} bits do not prove the VJP")


def _absent_state(operation: Operation, arguments: Arguments, name: str) -> Array:
    """Zeros for an initial state that was not given, of the shape that its gradient has."""
    with np.errstate(all="ignore"):
        gradients = as_outputs(operation, reference(operation)(**arguments))
    return np.zeros(np.shape(gradients[f"d{name}"]))


def budget(
    operation: Operation,
    arguments: Arguments,
    truths: Mapping[str, Array],
    dtype: str,
    key: str,
) -> dict[str, Array]:
    """Sigma of every output element: the rms error of 64 randomly rounded runs plus u |truth|.

    Three significant digits, never below the dtype's smallest number. Raises OracleError where
    the reference itself leaves the dtype's range.
    """
    rounding = Rounding(dtype, np.random.PCG64(zlib.crc32(key.encode())))
    least = LIMITS[dtype].smallest_subnormal

    def noisy(value: float) -> Noisy:
        return Noisy(np.full(64, value), rounding)

    numbers = {
        name: value.view(NoisyArray)
        if isinstance(value, np.ndarray) and value.dtype == object
        else value
        for name, value in cast(arguments, noisy).items()
    }
    outputs = evaluate(reference(operation), operation, numbers)
    sigma: dict[str, Array] = {}
    for name, exact in truths.items():
        values = []
        for index, (x, t) in enumerate(zip(outputs[name], flat(exact), strict=True)):
            if not np.isfinite(t):
                values.append(0.0)
                continue
            runs = x.v if isinstance(x, Noisy) else np.float64(x)
            with np.errstate(all="ignore"):
                deviation = np.abs(runs - t)
                # squared at the scale of the largest, so that nothing underflows
                largest = float(deviation.max()) or 1.0
                rms = largest * float(np.sqrt(np.mean((deviation / largest) ** 2)))
            if not np.isfinite(rms):
                raise OracleError(
                    f"{operation.name}: {name}[{index}] leaves the range of {dtype} (truth {t!r})"
                )
            values.append(float(f"{max(rms + rounding.unit * abs(t), least):.2e}"))
        sigma[name] = np.array(values).reshape(exact.shape)
    return sigma
