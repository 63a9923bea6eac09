"""The number types that a reference function runs on besides floats.

Each is a scalar; an object array of them goes through NumPy's ufuncs, which call the methods `exp`,
`tanh`, … of the elements.

- `Ball`: an interval that provably holds the exact result (python-flint's arb).
- `Dual`: a ball and its derivative in one direction, to prove a VJP.
- `Noisy`: 64 runs at once in which every inexact operation is rounded up or down at random, to see
  what error a good implementation shows.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from flint import arb

from nnspec.conformance import elementary
from nnspec.conformance.formats import LIMITS, bfloat16_neighbours
from nnspec.reference.array import Array

RUNS = 64


class Undecided(ArithmeticError):  # noqa: N818 (a state of knowledge, not an error)
    """Two balls overlap, so that their order is not known; more bits may tell."""


def _less(a: Any, b: Any) -> bool:
    if a < b:
        return True
    if a >= b or a.is_nan() or b.is_nan():
        return False
    raise Undecided


class Ordered:
    """Comparisons of the enclosures `v`, which never guess."""

    v: Any

    def __lt__(self, other: object) -> bool:
        return _less(self.v, _enclosure(other))

    def __gt__(self, other: object) -> bool:
        return _less(_enclosure(other), self.v)

    def __le__(self, other: object) -> bool:
        b = _enclosure(other)
        return not self.v.is_nan() and not b.is_nan() and not _less(b, self.v)

    def __ge__(self, other: object) -> bool:
        b = _enclosure(other)
        return not self.v.is_nan() and not b.is_nan() and not _less(self.v, b)

    def __float__(self) -> float:
        return float(self.v)

    def floor(self) -> int:
        """The integer at or below x, where the enclosure lies between two."""
        low, high = (int(bound.floor().unique_fmpz()) for bound in (self.v.lower(), self.v.upper()))
        if low != high:
            raise Undecided
        return low


def _enclosure(x: object) -> Any:
    return x.v if isinstance(x, Ordered) else arb(x)


class Ball(Ordered):
    """An enclosure of a real number."""

    __slots__ = ("v",)

    def __init__(self, v: Any):
        self.v = v if isinstance(v, arb) else arb(v)

    def constant(self, value: float) -> "Ball":
        """An exact constant of this kind of number."""
        return Ball(float(value))

    def hold(self, other: "Ball") -> "Ball":
        """Another number in the format of this one."""
        return other

    def __add__(self, other: object) -> "Ball":
        return Ball(self.v + _enclosure(other))

    __radd__ = __add__

    def __sub__(self, other: object) -> "Ball":
        return Ball(self.v - _enclosure(other))

    def __rsub__(self, other: object) -> "Ball":
        return Ball(_enclosure(other) - self.v)

    def __mul__(self, other: object) -> "Ball":
        return Ball(self.v * _enclosure(other))

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> "Ball":
        return Ball(self.v / _enclosure(other))

    def __rtruediv__(self, other: object) -> "Ball":
        return Ball(_enclosure(other) / self.v)

    def __neg__(self) -> "Ball":
        return Ball(-self.v)

    def __abs__(self) -> "Ball":
        return Ball(abs(self.v))

    def exp(self) -> "Ball":
        """e^x."""
        return Ball(self.v.exp())

    def log(self) -> "Ball":
        """log x."""
        return Ball(self.v.log())

    def log1p(self) -> "Ball":
        """log(1 + x)."""
        return Ball(self.v.log1p())

    def tanh(self) -> "Ball":
        """tanh x."""
        return Ball(self.v.tanh())

    def sqrt(self) -> "Ball":
        """√x."""
        return Ball(self.v.sqrt())

    def sin(self) -> "Ball":
        """sin x."""
        return Ball(self.v.sin())

    def cos(self) -> "Ball":
        """cos x."""
        return Ball(self.v.cos())


class Dual(Ordered):
    """v + ε d with ε² = 0: a ball and its derivative in one direction."""

    __slots__ = ("d", "v")

    def __init__(self, v: Any, d: Any):
        self.v = v
        self.d = d

    def constant(self, value: float) -> "Dual":
        """An exact constant of this kind of number."""
        return Dual(arb(float(value)), arb(0))

    def hold(self, other: "Dual") -> "Dual":
        """Another number in the format of this one."""
        return other

    def __add__(self, other: object) -> "Dual":
        v, d = _parts(other)
        return Dual(self.v + v, self.d + d)

    __radd__ = __add__

    def __sub__(self, other: object) -> "Dual":
        v, d = _parts(other)
        return Dual(self.v - v, self.d - d)

    def __rsub__(self, other: object) -> "Dual":
        v, d = _parts(other)
        return Dual(v - self.v, d - self.d)

    def __mul__(self, other: object) -> "Dual":
        v, d = _parts(other)
        return Dual(self.v * v, self.v * d + self.d * v)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> "Dual":
        v, d = _parts(other)
        q = self.v / v
        return Dual(q, (self.d - q * d) / v)

    def __rtruediv__(self, other: object) -> "Dual":
        v, d = _parts(other)
        return Dual(v, d) / self

    def __neg__(self) -> "Dual":
        return Dual(-self.v, -self.d)

    def __abs__(self) -> "Dual":
        return -self if self < 0 else self

    def exp(self) -> "Dual":
        """e^x."""
        y = self.v.exp()
        return Dual(y, y * self.d)

    def log(self) -> "Dual":
        """log x."""
        return Dual(self.v.log(), self.d / self.v)

    def log1p(self) -> "Dual":
        """log(1 + x)."""
        return Dual(self.v.log1p(), self.d / (1 + self.v))

    def tanh(self) -> "Dual":
        """tanh x."""
        y = self.v.tanh()
        return Dual(y, (1 - y * y) * self.d)

    def sqrt(self) -> "Dual":
        """√x."""
        y = self.v.sqrt()
        return Dual(y, self.d / (2 * y))

    def sin(self) -> "Dual":
        """sin x."""
        return Dual(self.v.sin(), self.v.cos() * self.d)

    def cos(self) -> "Dual":
        """cos x."""
        return Dual(self.v.cos(), -(self.v.sin() * self.d))


def _parts(x: object) -> tuple[Any, Any]:
    return (x.v, x.d) if isinstance(x, Dual) else (arb(x), 0)


class Format(Protocol):
    """How a dtype rounds: given a result and the sign of what was lost, the two neighbours."""

    def __call__(self, result: Array, lost: Array) -> tuple[Array, Array, Array]:
        """(nearest value, its neighbour on the other side, whether the result is inexact)."""


def _narrow(dtype: type[np.floating[Any]]) -> Format:
    """A dtype of at most half of float64's bits: a float64 result shows what rounding loses."""

    def neighbours(result: Array, lost: Array) -> tuple[Array, Array, Array]:
        near = result.astype(dtype)
        error = result - near
        other = np.nextafter(near, np.where(error > 0, np.inf, -np.inf).astype(dtype))
        return near.astype(np.float64), other.astype(np.float64), error != 0

    return neighbours


def _bfloat16(result: Array, lost: Array) -> tuple[Array, Array, Array]:
    near, other = bfloat16_neighbours(result)
    return near, other, near != result


def _double(result: Array, lost: Array) -> tuple[Array, Array, Array]:
    """float64: `lost` is the exact rounding error of the operation."""
    return result, np.nextafter(result, np.where(lost > 0, np.inf, -np.inf)), lost != 0


FORMATS: dict[str, Format] = {
    "float16": _narrow(np.float16),
    "bfloat16": _bfloat16,
    "float32": _narrow(np.float32),
    "float64": _double,
}


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """a b - product, exactly (Dekker 1971), where nothing over- or underflows."""
    high_a = a * 134217729.0
    high_a = high_a - (high_a - a)
    high_b = b * 134217729.0
    high_b = high_b - (high_b - b)
    low_a, low_b = a - high_a, b - high_b
    error: Array = low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b)
    return error


def _significand(x: Array) -> Array:
    """x scaled into [1/2, 1), so that no error term of a product underflows."""
    m: Array = np.frexp(x)[0]
    return m


def _product_loss(a: Array, b: Array) -> Array:
    """The sign of what rounding a b loses."""
    a, b = _significand(a), _significand(b)
    return _product_error(a, b, a * b)


def _quotient_loss(a: Array, b: Array) -> Array:
    """The sign of what rounding a / b loses."""
    a, b = _significand(a), _significand(b)
    q = a / b
    p = q * b
    rest = (a - p) - _product_error(q, b, p)
    return np.where(b > 0, rest, -rest)


def _root_loss(a: Array) -> Array:
    """The sign of what rounding √a loses, the exponent of a made even."""
    m, n = np.frexp(a)
    m = np.where(n % 2 == 0, m, 2 * m)
    r = np.sqrt(m)
    p = r * r
    loss: Array = (m - p) - _product_error(r, r, p)
    return loss


class Rounding:
    """The dtype and the coin flips that the noisy numbers of one run share."""

    def __init__(self, dtype: str, coins: np.random.PCG64):
        self.neighbours = FORMATS[dtype]
        self.unit = LIMITS[dtype].eps / 2
        self.coins = coins

    def wide(self) -> "Rounding":
        """The rounding of float64 with the same coins."""
        return Rounding("float64", self.coins)

    def flip(self, count: int) -> Array:
        """Fair coins, `count` for each of the runs."""
        raw = np.atleast_1d(self.coins.random_raw(count)).astype(np.uint64)
        return np.unpackbits(raw.view(np.uint8)).astype(bool).reshape(count, RUNS)

    def round(self, result: Array, lost: Array) -> Array:
        """Each inexact result up or down at random; an exact one stays. Last axis: the runs."""
        near, other, inexact = self.neighbours(result, lost)
        if not inexact.any():
            return result
        up = self.flip(result.size // RUNS).reshape(result.shape)
        return np.where(inexact & up, other, near)

    def sum(self, a: Array, b: Array) -> Array:
        """a + b, rounded."""
        s = a + b
        part = s - a
        return self.round(s, (a - (s - part)) + (b - part))

    def product(self, a: Array, b: Array) -> Array:
        """a b, rounded."""
        return self.round(a * b, _product_loss(a, b))

    def quotient(self, a: Array, b: Array) -> Array:
        """a / b, rounded."""
        return self.round(a / b, _quotient_loss(a, b))

    def total(self, terms: Array) -> Array:
        """The sum over the first axis, in another order in each run.

        An implementation may add in any order, and where large terms cancel the order decides
        how much is lost.
        """
        keys = self.coins.random_raw(terms.shape[0] * RUNS).reshape(terms.shape[0], RUNS)
        order = np.argsort(keys, axis=0, kind="stable")
        shape = (terms.shape[0], *(1,) * (terms.ndim - 2), RUNS)
        shuffled = np.take_along_axis(terms, order.reshape(shape), axis=0)
        sums: Array = shuffled[0]
        for term in shuffled[1:]:
            sums = self.sum(sums, term)
        return sums

    def perturb(self, y: Array) -> Array:
        """A function's value to within one ulp; its limits 0 and ±1 are exact."""
        raw = self.coins.random_raw(RUNS) >> np.uint64(11)
        ξ = raw.astype(np.float64) * 2.0**-52 - 1
        noisy = np.where(np.abs(y) == 1, y, y * (1 + 2 * self.unit * ξ))
        return self.neighbours(noisy, np.zeros_like(noisy))[0]


class Noisy:
    """The same number in 64 runs with random rounding.

    Numbers made by `constant` are float64 in any dtype: an implementation builds its tables in
    float64. An operation rounds as the narrower of its operands.
    """

    __slots__ = ("rounding", "v")

    def __init__(self, v: Array, rounding: Rounding):
        self.v = v
        self.rounding = rounding

    def constant(self, value: float) -> "Noisy":
        """An exact constant of this kind of number."""
        return Noisy(np.full(RUNS, float(value)), self.rounding.wide())

    def hold(self, other: "Noisy") -> "Noisy":
        """Another number in the format of this one: rounded where this one is narrower."""
        return Noisy(self.rounding.round(other.v, np.zeros_like(other.v)), self.rounding)

    def _narrower(self, other: object) -> Rounding:
        if isinstance(other, Noisy) and other.rounding.unit > self.rounding.unit:
            return other.rounding
        return self.rounding

    def __add__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.sum(self.v, _runs(other)), rounding)

    __radd__ = __add__

    def __sub__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.sum(self.v, -_runs(other)), rounding)

    def __rsub__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.sum(_runs(other), -self.v), rounding)

    def __mul__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.product(self.v, _runs(other)), rounding)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.quotient(self.v, _runs(other)), rounding)

    def __rtruediv__(self, other: object) -> "Noisy":
        rounding = self._narrower(other)
        return Noisy(rounding.quotient(_runs(other), self.v), rounding)

    def __neg__(self) -> "Noisy":
        return Noisy(-self.v, self.rounding)

    def __abs__(self) -> "Noisy":
        return Noisy(np.abs(self.v), self.rounding)

    # one run stands for all in a branch: the runs differ by roundings only
    def __float__(self) -> float:
        return float(self.v[0])

    def __lt__(self, other: Any) -> bool:
        return float(self) < float(other)

    def __le__(self, other: Any) -> bool:
        return float(self) <= float(other)

    def __gt__(self, other: Any) -> bool:
        return float(self) > float(other)

    def __ge__(self, other: Any) -> bool:
        return float(self) >= float(other)

    def floor(self) -> int:
        """The integer at or below x."""
        return math.floor(float(self))

    def _apply(self, function: Callable[[Array], Array]) -> "Noisy":
        return Noisy(self.rounding.perturb(function(self.v)), self.rounding)

    def exp(self) -> "Noisy":
        """e^x."""
        return self._apply(elementary.exp)

    def log(self) -> "Noisy":
        """log x."""
        return self._apply(elementary.log)

    def log1p(self) -> "Noisy":
        """log(1 + x)."""
        return self._apply(elementary.log1p)

    def tanh(self) -> "Noisy":
        """tanh x, in [-1, 1] in every run."""
        y = self._apply(elementary.tanh)
        return Noisy(np.clip(y.v, -1, 1), self.rounding)

    def sqrt(self) -> "Noisy":
        """√x, correctly rounded on every machine."""
        return Noisy(self.rounding.round(np.sqrt(self.v), _root_loss(self.v)), self.rounding)

    def sin(self) -> "Noisy":
        """sin x."""
        return self._apply(elementary.sin)

    def cos(self) -> "Noisy":
        """cos x."""
        return self._apply(elementary.cos)


def _runs(x: object) -> Array:
    return x.v if isinstance(x, Noisy) else np.full(RUNS, float(x))  # type: ignore[arg-type]


class NoisyArray(np.ndarray[Any, np.dtype[Any]]):
    """An object array of noisy numbers whose sums are taken in a random order in each run."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Matrix products and sums by `Rounding.total`; everything else element by element."""
        plain = [np.asarray(x) if isinstance(x, NoisyArray) else x for x in inputs]
        rounding = max((x.rounding for p in plain for x in _noisy(p)), key=_unit, default=None)
        if rounding is not None and ufunc is np.matmul and method == "__call__":
            return _matmul(np.asarray(plain[0]), np.asarray(plain[1]), rounding)
        if rounding is not None and ufunc is np.add and method == "reduce":
            return _reduce(plain[0], options, rounding)
        if "out" in options:
            options["out"] = tuple(np.asarray(x) for x in options["out"])
        return _wrap(getattr(ufunc, method)(*plain, **options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """What `np.where`, `np.concatenate` and their like make of noisy arrays is noisy again."""
        return _wrap_all(super().__array_function__(func, types, args, kwargs))


def _wrap_all(x: Any) -> Any:
    return type(x)(map(_wrap, x)) if isinstance(x, list | tuple) else _wrap(x)


def _unit(rounding: Rounding) -> float:
    return rounding.unit


def _noisy(x: Any) -> list[Noisy]:
    """The first noisy number of an argument, as a list of at most one."""
    if isinstance(x, Noisy):
        return [x]
    if isinstance(x, np.ndarray) and x.dtype == object:
        return [e for e in x.reshape(-1).tolist() if isinstance(e, Noisy)][:1]
    return []


def _wrap(x: Any) -> Any:
    return x.view(NoisyArray) if isinstance(x, np.ndarray) and x.dtype == object else x


def _stack(x: Array) -> Array:
    """The runs of every element, on a new last axis."""
    runs = [_runs(element) for element in x.reshape(-1).tolist()]
    return np.array(runs).reshape(*x.shape, RUNS)


def _unstack(runs: Array, rounding: Rounding) -> Array:
    made = np.empty(runs.shape[:-1], dtype=object)
    made.reshape(-1)[:] = [Noisy(v, rounding) for v in runs.reshape(-1, RUNS)]
    return made.view(NoisyArray)


def _matmul(a: Array, b: Array, rounding: Rounding) -> Array:
    if a.ndim < 2 or b.ndim < 2 or 0 in a.shape or 0 in b.shape:
        return cast_array(np.matmul(a, b))
    left, right = _stack(a), _stack(b)
    # (…, n, k, 1, runs) times (…, 1, k, m, runs), summed over k
    terms = rounding.product(
        *np.broadcast_arrays(left[..., :, :, None, :], right[..., None, :, :, :])
    )
    return _unstack(rounding.total(np.moveaxis(terms, -3, 0)), rounding)


def _reduce(x: Array, options: dict[str, Any], rounding: Rounding) -> Any:
    axis, keepdims = options.get("axis", 0), options.get("keepdims", False)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    if x.size == 0:
        return cast_array(np.add.reduce(x, axis=axes, keepdims=keepdims))
    runs = np.moveaxis(_stack(x), axes, range(len(axes)))
    kept = runs.shape[len(axes) :]
    sums = _unstack(rounding.total(runs.reshape(-1, *kept)), rounding)
    if keepdims:
        return np.expand_dims(sums, axes)
    return sums if sums.ndim else sums[()]


def cast_array(x: Any) -> Array:
    """An object array as a NoisyArray."""
    made: Array = np.asarray(x, dtype=object).view(NoisyArray)
    return made


def objects(array: Array, make: Callable[[float], Any]) -> Array:
    """The object array of make(element), of the same shape; integer arrays stay as they are."""
    if array.dtype.kind in "iub":
        return array
    made = np.empty(array.shape, dtype=object)
    made.reshape(-1)[:] = [make(value) for value in array.astype(np.float64).reshape(-1).tolist()]
    return made
