"""exp, tanh, sigmoid, log and log1p of one number, without a branch: loops of them vectorise.

Each is within 2 ulp over its whole range, subnormal results and tails included; NaN stays NaN,
infinities give the limits. The polynomials are minimax fits in relative error; the interval stands
beside each. A compiled function takes the dtype's form when it is compiled.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from nnspec.accel.jit import config, contracted

F = np.float32

# adding it rounds to an integer, which then stands in the low bits
ROUND_32, ROUND_64 = F(12582912.0), 6755399441055744.0
LOG2_E_32, LOG2_E_64 = F(1.4426950408889634), 1.4426950408889634
LN_2_HIGH_32, LN_2_LOW_32 = F(0.693359375), F(-2.12194440e-4)
LN_2_HIGH_64, LN_2_LOW_64 = 0.6931471803691238, 1.9082149292705877e-10
ABOVE_32, ABOVE_64 = F(12582912.0 + 64), 6755399441055744.0 + 128
# beyond these e^x is 0 or infinite
LOWEST_32, HIGHEST_32 = F(-104.0), F(89.0)
LOWEST_64, HIGHEST_64 = -746.0, 710.0
HALF_ROOT_32, HALF_ROOT_64 = F(0.70710678), 0.7071067811865476
NORMAL_32, NORMAL_64 = F(2.0**-126), 2.0**-1022
LIFT_32, LIFT_64 = F(2.0**24), 2.0**53


def _float_parts(dtype: Any) -> tuple[ir.Type, ir.Type, int, int, int]:
    """LLVM's float and integer of a dtype, the bits of its significand, its bias, ROUND's bits."""
    if dtype == types.float32:
        return ir.FloatType(), ir.IntType(32), 23, 127, int(ROUND_32.view(np.int32))
    return ir.DoubleType(), ir.IntType(64), 52, 1023, int(np.float64(ROUND_64).view(np.int64))


def _scaled(typingctx: Any, y: Any, m: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floating, integer, shift, bias, rounding = _float_parts(y)
        number = builder.sub(builder.bitcast(args[1], integer), integer(rounding))
        # in two steps: 2^n itself may overflow where y 2^n does not, or vanish
        half = builder.ashr(number, integer(1))
        result = args[0]
        for power in (half, builder.sub(number, half)):
            bits = builder.shl(builder.add(power, integer(bias)), integer(shift))
            result = builder.fmul(result, builder.bitcast(bits, floating))
        return result

    return y(y, m), emit


def _raised(typingctx: Any, y: Any, m: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floating, integer, shift, _, _ = _float_parts(y)
        # of m's bits the low ones alone are left, which hold the power
        power = builder.shl(builder.bitcast(args[1], integer), integer(shift))
        return builder.bitcast(builder.add(builder.bitcast(args[0], integer), power), floating)

    return y(y, m), emit


def _significand(typingctx: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floating, integer, shift, _, _ = _float_parts(x)
        root = integer(_bits(x))
        above = builder.sub(builder.bitcast(args[0], integer), root)
        fraction = builder.and_(above, integer((1 << shift) - 1))
        return builder.bitcast(builder.add(fraction, root), floating)

    return x(x), emit


def _exponent(typingctx: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floating, integer, shift, _, _ = _float_parts(x)
        above = builder.sub(builder.bitcast(args[0], integer), integer(_bits(x)))
        return builder.sitofp(builder.ashr(above, integer(shift)), floating)

    return x(x), emit


def _bits(dtype: Any) -> int:
    if dtype == types.float32:
        return int(HALF_ROOT_32.view(np.int32))
    return int(np.float64(HALF_ROOT_64).view(np.int64))


if config.DISABLE_JIT:

    def scaled(y: Any, m: Any) -> Any:
        """y 2^n, where m is n + ROUND."""
        rounding = ROUND_32 if isinstance(m, np.float32) else ROUND_64
        return np.ldexp(y, 0 if np.isnan(m) else int(m - rounding))

    def raised(y: Any, m: Any) -> Any:
        """y 2^n, where m is n + ROUND, and both and the result are normal; anything for a NaN."""
        return scaled(y, m)

    def significand(x: Any) -> Any:
        """x 2^-k in [√½, √2), x positive and normal."""
        return np.ldexp(x, -int(exponent(x)))

    def exponent(x: Any) -> Any:
        """k of `significand`, as a float."""
        half = HALF_ROOT_32 if isinstance(x, np.float32) else HALF_ROOT_64
        if not np.isfinite(x) or x <= 0:
            return type(x)(0)
        fraction, k = np.frexp(x)
        return type(x)(k if fraction >= half else k - 1)

else:
    scaled = intrinsic(_scaled)
    raised = intrinsic(_raised)
    significand = intrinsic(_significand)
    exponent = intrinsic(_exponent)


@contracted
def _exp_32(x: Any) -> Any:
    y = x if not x < LOWEST_32 else LOWEST_32
    y = y if not y > HIGHEST_32 else HIGHEST_32
    m = y * LOG2_E_32 + ROUND_32
    n = m - ROUND_32
    reduced = y - n * LN_2_HIGH_32
    r = reduced - n * LN_2_LOW_32
    lost = (reduced - r) - n * LN_2_LOW_32
    p = F(0.0013814540579915047)  # (e^r - 1 - r) / r² for |r| ≤ ln 2 / 2
    p = p * r + F(0.00836874544620514)
    p = p * r + F(0.04166838899254799)
    p = p * r + F(0.1666652113199234)
    p = p * r + F(0.4999999403953552)
    y = F(1) + r
    lost += r - (y - F(1))
    return scaled(y + (p * (r * r) + lost), m)


@contracted
def _exp_64(x: Any) -> Any:
    y = x if not x < LOWEST_64 else LOWEST_64
    y = y if not y > HIGHEST_64 else HIGHEST_64
    m = y * LOG2_E_64 + ROUND_64
    n = m - ROUND_64
    reduced = y - n * LN_2_HIGH_64
    r = reduced - n * LN_2_LOW_64
    lost = (reduced - r) - n * LN_2_LOW_64
    p = 2.0826584075768803e-09  # (e^r - 1 - r) / r² for |r| ≤ ln 2 / 2
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
    y = 1.0 + r
    lost += r - (y - 1.0)
    return scaled(y + (p * (r * r) + lost), m)


@contracted
def _exp_below_32(x: Any) -> Any:
    y = x if not x < LOWEST_32 else LOWEST_32
    # 2^64 too large, so that it is a normal number
    m = y * LOG2_E_32 + ABOVE_32
    n = m - ABOVE_32
    r = (y - n * LN_2_HIGH_32) - n * LN_2_LOW_32
    p = F(0.0013814540579915047)  # as in `_exp_32`
    p = p * r + F(0.00836874544620514)
    p = p * r + F(0.04166838899254799)
    p = p * r + F(0.1666652113199234)
    p = p * r + F(0.4999999403953552)
    power = raised(F(1) + (p * (r * r) + r), m)
    return power * F(2.0**-64) + r * F(0)  # for a NaN's sake


@contracted
def _exp_below_64(x: Any) -> Any:
    y = x if not x < LOWEST_64 else LOWEST_64
    m = y * LOG2_E_64 + ABOVE_64
    n = m - ABOVE_64
    r = (y - n * LN_2_HIGH_64) - n * LN_2_LOW_64
    p = 2.0826584075768803e-09  # as in `_exp_64`
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
    power = raised(1.0 + (p * (r * r) + r), m)
    return power * 2.0**-128 + r * 0.0


@contracted
def _tanh_32(x: Any) -> Any:
    s = x * x
    p = F(0.0021438831463456154)  # (tanh x - x) / x³ in s = x² for |x| ≤ 0.626
    p = p * s + F(-0.008178823627531528)
    p = p * s + F(0.021701471880078316)
    p = p * s + F(-0.05394694209098816)
    p = p * s + F(0.13333207368850708)
    p = p * s + F(-0.3333333134651184)
    near = (p * s) * x + x
    a = abs(x)
    e = _exp_below_32(-(a + a))
    far = F(1) - (e + e) / (F(1) + e)
    return np.copysign(near if a < F(0.625) else far, x)


@contracted
def _tanh_64(x: Any) -> Any:
    s = x * x
    p = -1.60599528020771e-05  # (tanh x - x) / x³ in s = x² for |x| ≤ 0.626
    p = p * s + 7.712207591138643e-05
    p = p * s + -0.00022854799235955898
    p = p * s + 0.0005863103681747903
    p = p * s + -0.0014549576225423122
    p = p * s + 0.0035919890670753603
    p = p * s + -0.008863221008784266
    p = p * s + 0.021869487578259322
    p = p * s + -0.05396825393144774
    p = p * s + 0.13333333333262692
    p = p * s + -0.3333333333333286
    near = (p * s) * x + x
    a = abs(x)
    e = _exp_below_64(-(a + a))
    far = 1.0 - (e + e) / (1.0 + e)
    return np.copysign(near if a < 0.625 else far, x)


@contracted
def _sigmoid_32(x: Any) -> Any:
    e = _exp_below_32(-abs(x))
    d = F(1) + e
    q = (F(1) if x >= F(0) else e) / d
    # what the quotient and the sum lost, or the roundings of e, d and q would pass 2 ulp together
    lost = ((F(1) if x >= F(0) else e) - q * d) - q * (e - (d - F(1)))
    return q + lost * (q if x >= F(0) else F(1) - q)


@contracted
def _sigmoid_64(x: Any) -> Any:
    e = _exp_below_64(-abs(x))
    d = 1.0 + e
    q = (1.0 if x >= 0.0 else e) / d
    lost = ((1.0 if x >= 0.0 else e) - q * d) - q * (e - (d - 1.0))  # as above
    return q + lost * (q if x >= 0.0 else 1.0 - q)


@contracted
def _log_32(x: Any) -> Any:
    small = x < NORMAL_32
    y = x * LIFT_32 if small else x
    f = significand(y) - F(1)
    k = exponent(y) - (F(24) if small else F(0))
    s = f / (F(2) + f)
    z = s * s
    p = F(0.2358318567276001)  # (log((1+s)/(1-s)) / s - 2) / s² in z = s² for |s| ≤ 0.1716
    p = p * z + F(0.2853725850582123)
    p = p * z + F(0.4000033736228943)
    p = p * z + F(0.6666666269302368)
    h = F(0.5) * f * f
    result = k * LN_2_HIGH_32 - ((h - (s * (h + z * p) + k * LN_2_LOW_32)) - f)
    result = result if x > F(0) else (F(-np.inf) if x == F(0) else F(np.nan))
    return result if not x > F(3.4028235e38) else x


@contracted
def _log_64(x: Any) -> Any:
    small = x < NORMAL_64
    y = x * LIFT_64 if small else x
    f = significand(y) - 1.0
    k = exponent(y) - (53.0 if small else 0.0)
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
    result = result if x > 0.0 else (-np.inf if x == 0.0 else np.nan)
    return result if not x > 1.7976931348623157e308 else x


@contracted
def _log1p_32(x: Any) -> Any:
    w = F(1) + x
    lost = x - (w - F(1)) if x < F(1) else F(1) - (w - x)
    result = _log_32(w) + lost / (w if w > F(0) else F(1))
    result = result if w > F(0) else _log_32(w)
    return result if abs(x) <= F(3.4028235e38) and x != F(0) else (x if not x < F(0) else x - x)


@contracted
def _log1p_64(x: Any) -> Any:
    w = 1.0 + x
    lost = x - (w - 1.0) if x < 1.0 else 1.0 - (w - x)
    result = _log_64(w) + lost / (w if w > 0.0 else 1.0)
    result = result if w > 0.0 else _log_64(w)
    return (
        result if abs(x) <= 1.7976931348623157e308 and x != 0.0 else (x if not x < 0.0 else x - x)
    )


@contracted
def _log1p_fraction_32(x: Any) -> Any:
    large = x > F(0.41421357)  # then it is log 2 + log((1 + x) / 2)
    f = F(0.5) * (x - F(1)) if large else x
    k = F(1) if large else F(0)
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
    f = 0.5 * (x - 1.0) if large else x
    k = 1.0 if large else 0.0
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


def exp(x: Any) -> Any:
    """e^x."""
    return _exp_32(x) if isinstance(x, np.float32) else _exp_64(x)


def exp_below(x: Any) -> Any:
    """e^x for x ≤ 0, in half the time."""
    return _exp_below_32(x) if isinstance(x, np.float32) else _exp_below_64(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent; never beyond ±1."""
    return _tanh_32(x) if isinstance(x, np.float32) else _tanh_64(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    return _sigmoid_32(x) if isinstance(x, np.float32) else _sigmoid_64(x)


def log(x: Any) -> Any:
    """The natural logarithm: -inf at 0, NaN below."""
    return _log_32(x) if isinstance(x, np.float32) else _log_64(x)


def log1p(x: Any) -> Any:
    """log(1 + x)."""
    return _log1p_32(x) if isinstance(x, np.float32) else _log1p_64(x)


def log1p_fraction(x: Any) -> Any:
    """log(1 + x) for 0 ≤ x ≤ 1."""
    return _log1p_fraction_32(x) if isinstance(x, np.float32) else _log1p_fraction_64(x)


def _by_dtype(function: Any, narrow: Any, wide: Any) -> None:
    """Kernels that call `function` get the form for their dtype."""

    def choose(x):  # type: ignore[no-untyped-def]  # Numba compares both signatures, hints and all
        return (lambda x: narrow(x)) if x == types.float32 else (lambda x: wide(x))

    overload(function)(choose)


if not config.DISABLE_JIT:
    _by_dtype(exp, _exp_32, _exp_64)
    _by_dtype(exp_below, _exp_below_32, _exp_below_64)
    _by_dtype(tanh, _tanh_32, _tanh_64)
    _by_dtype(sigmoid, _sigmoid_32, _sigmoid_64)
    _by_dtype(log, _log_32, _log_64)
    _by_dtype(log1p, _log1p_32, _log1p_64)
    _by_dtype(log1p_fraction, _log1p_fraction_32, _log1p_fraction_64)
