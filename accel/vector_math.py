"""exp, tanh, sigmoid, log and log1p of a vector, or of a number, without a branch.

Each is within 2 ulp over its whole range, subnormal results and tails included; NaN stays NaN,
infinities give the limits. The polynomials are minimax fits in relative error; the interval stands
beside each. A compiled function takes the dtype's form when it is compiled.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from nnspec.accel.host import FUSED, VECTOR
from nnspec.accel.jit import config, contracted
from nnspec.accel.vectors import Vector, scalar_of, select, signed

F = np.float32

# adding it rounds to an integer, which then stands in the low bits
ROUND_32, ROUND_64 = F(12582912.0), 6755399441055744.0
LOG2_E_32, LOG2_E_64 = F(1.4426950408889634), 1.4426950408889634
LN_2_HIGH_32, LN_2_LOW_32 = F(0.693359375), F(-2.12194440e-4)
LN_2_HIGH_64, LN_2_LOW_64 = 0.6931471803691238, 1.9082149292705877e-10
# with the exponent's bias besides: the low bits are then those of a power of two
BIASED_32, BIASED_64 = F(12582912.0 + 127), 6755399441055744.0 + 1023
ABOVE_32, ABOVE_64 = F(12582912.0 + 127 + 64), 6755399441055744.0 + 1023 + 128
# beyond these e^x is 0 or infinite
LOWEST_32, HIGHEST_32 = F(-104.0), F(89.0)
LOWEST_64, HIGHEST_64 = -746.0, 710.0
HALF_ROOT_32, HALF_ROOT_64 = F(0.70710678), 0.7071067811865476
NORMAL_32, NORMAL_64 = F(2.0**-126), 2.0**-1022
LIFT_32, LIFT_64 = F(2.0**24), 2.0**53


def _bits_of(builder: Any, value: Any) -> tuple[Any, Any, int]:
    """A float or vector as integers, a maker of such constants, the bits of a significand."""
    many = isinstance(value.type, ir.VectorType)
    floating = value.type.element if many else value.type
    wide = isinstance(floating, ir.DoubleType)
    element = ir.IntType(64 if wide else 32)
    kind = ir.VectorType(element, value.type.count) if many else element

    def constant(number: int) -> Any:
        return ir.Constant(kind, [number] * kind.count if many else number)

    return builder.bitcast(value, kind), constant, 52 if wide else 23


def _instructed(kind: Any) -> bool:
    """Whether the processor has instructions for a vector's y 2^n and 1 / d: AVX-512 does."""
    return VECTOR == 64 and isinstance(kind, Vector) and kind.dtype == types.float32


def _instruction(builder: Any, name: str, *values: Any) -> Any:
    """The instruction that LLVM knows by this name, for whole vectors."""
    function = ir.FunctionType(values[0].type, [value.type for value in values])
    name = f"llvm.x86.avx512.{name}.ps.512"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)


def _every(y: Any) -> Any:
    """The mask of all lanes."""
    return ir.Constant(ir.IntType(y.type.count), -1)


def _scale_at_once(builder: Any, y: Any, n: Any) -> Any:
    """y 2^n, rounded once."""
    as_set = ir.Constant(ir.IntType(32), 4)  # round as the program does
    return _instruction(builder, "mask.scalef", y, n, y, _every(y), as_set)


def _scaled(typingctx: Any, y: Any, n: Any, m: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _instructed(y):
            return _scale_at_once(builder, *args[:2])
        bits, constant, shift = _bits_of(builder, args[2])
        narrow = scalar_of(y) == types.float32
        rounding = ROUND_32.view(np.int32) if narrow else np.float64(ROUND_64).view(np.int64)
        number = builder.sub(bits, constant(int(rounding)))
        # in two steps: 2^n itself may overflow where y 2^n does not, or vanish
        half = builder.ashr(number, constant(1))
        result = args[0]
        for power in (half, builder.sub(number, half)):
            bits = builder.shl(
                builder.add(power, constant(127 if narrow else 1023)), constant(shift)
            )
            result = builder.fmul(result, builder.bitcast(bits, args[0].type))
        return result

    return y(y, n, m), emit


def _at_once(typingctx: Any, y: Any, n: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _scale_at_once(builder, *args)

    return y(y, n), emit


def _reciprocal(typingctx: Any, d: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _instruction(builder, "rcp14", args[0], args[0], _every(args[0]))

    return d(d), emit


def _power(typingctx: Any, m: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, constant, shift = _bits_of(builder, args[0])
        # of m's bits the low ones alone are left, which hold the biased power
        return builder.bitcast(builder.shl(bits, constant(shift)), args[0].type)

    return m(m), emit


def _significand(typingctx: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, constant, shift = _bits_of(builder, args[0])
        root = constant(_half_root(x))
        fraction = builder.and_(builder.sub(bits, root), constant((1 << shift) - 1))
        return builder.bitcast(builder.add(fraction, root), args[0].type)

    return x(x), emit


def _exponent(typingctx: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, constant, shift = _bits_of(builder, args[0])
        above = builder.sub(bits, constant(_half_root(x)))
        return builder.sitofp(builder.ashr(above, constant(shift)), args[0].type)

    return x(x), emit


def _half_root(kind: Any) -> int:
    """The bits of √½."""
    if scalar_of(kind) == types.float32:
        return int(HALF_ROOT_32.view(np.int32))
    return int(np.float64(HALF_ROOT_64).view(np.int64))


if config.DISABLE_JIT:

    def _whole(m: Any) -> Any:
        """A whole number as an integer, 0 for a NaN."""
        return np.where(np.isnan(m), 0, m).astype(np.int64)

    def scaled(y: Any, n: Any, m: Any) -> Any:
        """y 2^n, where m is n + ROUND."""
        return np.ldexp(y, _whole(n))

    def power(m: Any) -> Any:
        """2^n, where m is n + BIASED and the result is normal; anything for a NaN."""
        biased = BIASED_32 if m.dtype == np.float32 else BIASED_64
        return np.ldexp(np.ones_like(m), _whole(m - biased))

    def significand(x: Any) -> Any:
        """x 2^-k in [√½, √2), x positive and normal."""
        return np.ldexp(x, -_whole(exponent(x)))

    def exponent(x: Any) -> Any:
        """k of `significand`, as a float."""
        half = HALF_ROOT_32 if x.dtype == np.float32 else HALF_ROOT_64
        right = np.isfinite(x) & (x > 0)
        fraction, k = np.frexp(np.where(right, x, 1))
        return np.where(right, k - (fraction < half), 0).astype(x.dtype)[()]

else:
    scaled = intrinsic(_scaled)
    _scaled_at_once, _near_inverse = intrinsic(_at_once), intrinsic(_reciprocal)
    power = intrinsic(_power)
    significand = intrinsic(_significand)
    exponent = intrinsic(_exponent)


@contracted
def _curve_32(r: Any) -> Any:
    """(e^r - 1 - r) / r² for |r| ≤ ln 2 / 2."""
    p = F(0.0013814540579915047)
    p = p * r + F(0.00836874544620514)
    p = p * r + F(0.04166838899254799)
    p = p * r + F(0.1666652113199234)
    p = p * r + F(0.4999999403953552)
    return p


@contracted
def _curve_64(r: Any) -> Any:
    """(e^r - 1 - r) / r² for |r| ≤ ln 2 / 2."""
    p = 2.0826584075768803e-09
    p = p * r + 2.511208439713127e-08
    p = p * r + 2.755758227603023e-07
    p = p * r + 2.7557234728193085e-06
    p = p * r + 2.4801586925727836e-05
    p = p * r + 0.00019841269896514674
    p = p * r + 0.0013888888889116353
    p = p * r + 0.008333333333316983
    p = p * r + 0.041666666666666095
    p = p * r + 0.16666666666666682
    p = p * r + 0.5
    return p


@contracted
def _exp_32(x: Any) -> Any:
    y = select(x < LOWEST_32, LOWEST_32, x)
    y = select(y > HIGHEST_32, HIGHEST_32, y)
    m = y * LOG2_E_32 + ROUND_32
    n = m - ROUND_32
    reduced = y - n * LN_2_HIGH_32
    r = reduced - n * LN_2_LOW_32
    lost = (reduced - r) - n * LN_2_LOW_32
    p = _curve_32(r)
    y = F(1) + r
    lost += r - (y - F(1))
    return scaled(y + (p * (r * r) + lost), n, m)


@contracted
def _exp_64(x: Any) -> Any:
    y = select(x < LOWEST_64, LOWEST_64, x)
    y = select(y > HIGHEST_64, HIGHEST_64, y)
    m = y * LOG2_E_64 + ROUND_64
    n = m - ROUND_64
    reduced = y - n * LN_2_HIGH_64
    r = reduced - n * LN_2_LOW_64
    lost = (reduced - r) - n * LN_2_LOW_64
    p = _curve_64(r)
    y = 1.0 + r
    lost += r - (y - 1.0)
    return scaled(y + (p * (r * r) + lost), n, m)


@contracted
def _lowered_by_bits(y: Any, n: Any, m: Any) -> Any:
    return y * power(m) * F(2.0**-64)


def _lowered_32(y: Any, n: Any, m: Any) -> Any:
    """y 2^n, where m is n + ABOVE."""
    return _lowered_by_bits(y, n, m)


@contracted
def _exp_below_32(x: Any) -> Any:
    y = select(x < LOWEST_32, LOWEST_32, x)
    # 2^64 too large, so that it is a normal number
    m = y * LOG2_E_32 + ABOVE_32
    n = m - ABOVE_32
    r = (y - n * LN_2_HIGH_32) - n * LN_2_LOW_32
    p = _curve_32(r)
    return _lowered_32(F(1) + (p * (r * r) + r), n, m)


@contracted
def _exp_below_64(x: Any) -> Any:
    y = select(x < LOWEST_64, LOWEST_64, x)
    m = y * LOG2_E_64 + ABOVE_64
    n = m - ABOVE_64
    r = (y - n * LN_2_HIGH_64) - n * LN_2_LOW_64
    p = _curve_64(r)
    return (1.0 + (p * (r * r) + r)) * power(m) * 2.0**-128


def _inverse_32(d: Any) -> Any:
    """1 / d for 1 ≤ d ≤ 2, to 1e-4; a division takes longer than all the rest of a sigmoid."""
    return _inverse_by_polynomial(d)


@contracted
def _inverse_by_polynomial(d: Any) -> Any:
    # Chebyshev's: off by T₃(2d - 3) / 99
    r = F(210 / 99) + d * (F(32 / 99) * d - F(144 / 99))
    return r + r * (F(1) - d * r)


@contracted
def _inverse_64(d: Any) -> Any:
    """1 / d for 1 ≤ d ≤ 2, but for the rounding."""
    r = 210 / 99 + d * (32 / 99 * d - 144 / 99)
    r = r + r * (1.0 - d * r)
    r = r + r * (1.0 - d * r)
    return r + r * (1.0 - d * r)


@contracted
def _tanh_32(x: Any) -> Any:
    y = abs(x)
    y = select(y > F(10), F(10), y)
    m = y * (F(-2) * LOG2_E_32) + BIASED_32
    n = m - BIASED_32
    r = (F(-2) * y - n * LN_2_HIGH_32) - n * LN_2_LOW_32
    p = _curve_32(r)
    # e^-2y is s + u, and tanh y is (1 - s - u) / (1 + s + u): near 0 s is 1, and u alone is left
    s = power(m)
    u = s * (p * (r * r) + r)
    less, more = F(1) - s, F(1) + s
    inverse = _inverse_32(more + u)
    q = (less - u) * inverse
    lost = ((less - q * more) - u) - q * u
    return signed(q + lost * inverse, x)


@contracted
def _tanh_64(x: Any) -> Any:
    y = abs(x)
    y = select(y > 20.0, 20.0, y)
    m = y * (-2.0 * LOG2_E_64) + BIASED_64
    n = m - BIASED_64
    r = (-2.0 * y - n * LN_2_HIGH_64) - n * LN_2_LOW_64
    p = _curve_64(r)
    s = power(m)  # as in `_tanh_32`
    u = s * (p * (r * r) + r)
    less, more = 1.0 - s, 1.0 + s
    inverse = _inverse_64(more + u)
    q = (less - u) * inverse
    lost = ((less - q * more) - u) - q * u
    return signed(q + lost * inverse, x)


@contracted
def _sigmoid_32(x: Any) -> Any:
    if not FUSED:  # what a product lost could not be told
        e = _exp_32(-abs(x))
        d = F(1) + e
        q = select(x >= F(0), F(1), e) / d
        return q - q * (e - (d - F(1))) / d
    e = _exp_below_32(-abs(x))
    d = F(1) + e
    r = _inverse_32(d)
    above = select(x >= F(0), F(1), e)
    q = above * r
    # what r, the product and the sum lost
    lost = (above - q * d) - q * (e - (d - F(1)))
    return q + lost * r


@contracted
def _sigmoid_64(x: Any) -> Any:
    if not FUSED:  # as above
        e = _exp_64(-abs(x))
        d = 1.0 + e
        q = select(x >= 0.0, 1.0, e) / d
        return q - q * (e - (d - 1.0)) / d
    e = _exp_below_64(-abs(x))
    d = 1.0 + e
    r = _inverse_64(d)
    above = select(x >= 0.0, 1.0, e)
    q = above * r
    lost = (above - q * d) - q * (e - (d - 1.0))
    return q + lost * r


@contracted
def _log_32(x: Any) -> Any:
    small = x < NORMAL_32
    y = select(small, x * LIFT_32, x)
    f = significand(y) - F(1)
    k = exponent(y) - select(small, F(24), F(0))
    s = f / (F(2) + f)
    z = s * s
    p = F(0.2358318567276001)  # (log((1+s)/(1-s)) / s - 2) / s² in z = s² for |s| ≤ 0.1716
    p = p * z + F(0.2853725850582123)
    p = p * z + F(0.4000033736228943)
    p = p * z + F(0.6666666269302368)
    h = F(0.5) * f * f
    result = k * LN_2_HIGH_32 - ((h - (s * (h + z * p) + k * LN_2_LOW_32)) - f)
    result = select(x > F(0), result, select(x == F(0), F(-np.inf), F(np.nan)))
    return select(x > F(3.4028235e38), x, result)


@contracted
def _log_64(x: Any) -> Any:
    small = x < NORMAL_64
    y = select(small, x * LIFT_64, x)
    f = significand(y) - 1.0
    k = exponent(y) - select(small, 53.0, 0.0)
    s = f / (2.0 + f)
    z = s * s
    p = 0.1325230874163809  # (log((1+s)/(1-s)) / s - 2) / s² in z = s² for |s| ≤ 0.1716
    p = p * z + 0.13250011933368516
    p = p * z + 0.1538709538769887
    p = p * z + 0.18181775561830563
    p = p * z + 0.22222222648057166
    p = p * z + 0.28571428569077834
    p = p * z + 0.4000000000000627
    p = p * z + 0.6666666666666666
    h = 0.5 * f * f
    result = k * LN_2_HIGH_64 - ((h - (s * (h + z * p) + k * LN_2_LOW_64)) - f)
    result = select(x > 0.0, result, select(x == 0.0, -np.inf, np.nan))
    return select(x > 1.7976931348623157e308, x, result)


@contracted
def _log1p_32(x: Any) -> Any:
    w = F(1) + x
    lost = select(x < F(1), x - (w - F(1)), F(1) - (w - x))
    logarithm = _log_32(w)
    result = logarithm + lost / select(w > F(0), w, F(1))
    result = select(w > F(0), result, logarithm)
    # 0 keeps its sign, and of what is not finite +inf and NaN stay
    kept = select(x < F(0), x - x, x)
    return select(abs(x) <= F(3.4028235e38), select(x == F(0), kept, result), kept)


@contracted
def _log1p_64(x: Any) -> Any:
    w = 1.0 + x
    lost = select(x < 1.0, x - (w - 1.0), 1.0 - (w - x))
    logarithm = _log_64(w)
    result = logarithm + lost / select(w > 0.0, w, 1.0)
    result = select(w > 0.0, result, logarithm)
    kept = select(x < 0.0, x - x, x)  # as above
    return select(abs(x) <= 1.7976931348623157e308, select(x == 0.0, kept, result), kept)


@contracted
def _log1p_fraction_32(x: Any) -> Any:
    large = x > F(0.41421357)  # then it is log 2 + log((1 + x) / 2)
    f = select(large, F(0.5) * (x - F(1)), x)
    k = select(large, F(1), F(0))
    s = f / (F(2) + f)
    z = s * s
    p = F(0.2358318567276001)  # as in `_log_32`
    p = p * z + F(0.2853725850582123)
    p = p * z + F(0.4000033736228943)
    p = p * z + F(0.6666666269302368)
    h = F(0.5) * f * f
    return k * LN_2_HIGH_32 - ((h - (s * (h + z * p) + k * LN_2_LOW_32)) - f)


@contracted
def _log1p_fraction_64(x: Any) -> Any:
    large = x > 0.41421356237309503
    f = select(large, 0.5 * (x - 1.0), x)
    k = select(large, 1.0, 0.0)
    s = f / (2.0 + f)
    z = s * s
    p = 0.1325230874163809  # as in `_log_64`
    p = p * z + 0.13250011933368516
    p = p * z + 0.1538709538769887
    p = p * z + 0.18181775561830563
    p = p * z + 0.22222222648057166
    p = p * z + 0.28571428569077834
    p = p * z + 0.4000000000000627
    p = p * z + 0.6666666666666666
    h = 0.5 * f * f
    return k * LN_2_HIGH_64 - ((h - (s * (h + z * p) + k * LN_2_LOW_64)) - f)


def _narrow(x: Any) -> bool:
    return bool(x.dtype == np.float32)


def exp(x: Any) -> Any:
    """e^x."""
    return _exp_32(x) if _narrow(x) else _exp_64(x)


def exp_below(x: Any) -> Any:
    """e^x for x ≤ 0, in half the time."""
    return _exp_below_32(x) if _narrow(x) else _exp_below_64(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent; never beyond ±1."""
    return _tanh_32(x) if _narrow(x) else _tanh_64(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    return _sigmoid_32(x) if _narrow(x) else _sigmoid_64(x)


def log(x: Any) -> Any:
    """The natural logarithm: -inf at 0, NaN below."""
    return _log_32(x) if _narrow(x) else _log_64(x)


def log1p(x: Any) -> Any:
    """log(1 + x)."""
    return _log1p_32(x) if _narrow(x) else _log1p_64(x)


def log1p_fraction(x: Any) -> Any:
    """log(1 + x) for 0 ≤ x ≤ 1."""
    return _log1p_fraction_32(x) if _narrow(x) else _log1p_fraction_64(x)


def _by_dtype(function: Any, narrow: Any, wide: Any) -> None:
    """Kernels that call `function` get the form for their dtype."""

    def choose(x):  # type: ignore[no-untyped-def]  # Numba compares both signatures, hints and all
        return (lambda x: narrow(x)) if scalar_of(x) == types.float32 else (lambda x: wide(x))

    overload(function)(choose)


if not config.DISABLE_JIT:
    _by_dtype(exp, _exp_32, _exp_64)
    _by_dtype(exp_below, _exp_below_32, _exp_below_64)
    _by_dtype(tanh, _tanh_32, _tanh_64)
    _by_dtype(sigmoid, _sigmoid_32, _sigmoid_64)
    _by_dtype(log, _log_32, _log_64)
    _by_dtype(log1p, _log1p_32, _log1p_64)
    _by_dtype(log1p_fraction, _log1p_fraction_32, _log1p_fraction_64)

    @overload(_lowered_32)
    def _lowered_32_of(y, n, m):  # type: ignore[no-untyped-def]  # as above
        if _instructed(y):
            return lambda y, n, m: _scaled_at_once(y, n)
        return lambda y, n, m: _lowered_by_bits(y, n, m)

    @overload(_inverse_32)
    def _inverse_32_of(d):  # type: ignore[no-untyped-def]  # as above
        if _instructed(d):
            return lambda d: _near_inverse(d)
        return lambda d: _inverse_by_polynomial(d)
