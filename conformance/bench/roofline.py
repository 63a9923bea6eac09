"""What the processor could do: fused multiply-adds on data in the L1 cache, bytes from each cache.

The roof of a point is the longer of two times: that of its products at the measured rate, and that
of its bytes at the measured bandwidth. An affine map may be of bfloat16 parts (see `accel.parts`)
where the processor has a unit for them, and then faster than multiply-adds. Inputs and outputs go
by once; a recurrent step has to read its weights again, from whatever cache holds them.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np

from nnspec.accel.jit import kernel
from nnspec.accel.packed import aligned, multiply, width
from nnspec.accel.parts import ON, panel_rows, split_panels
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array

# rows, depth and panels of a product that fits the L1 cache
ROWS, DEPTH, PANELS = 12, 128, 2
# those of one of parts: so many panels make up for the splitting of the rows
PARTS_ROWS, PARTS_DEPTH, PARTS_PANELS = 32, 256, 16
# working sets of one thread: in the L1 cache, a small and a large L2, the L3, and far beyond
SETS = (16 * 2**10, 256 * 2**10, 2**20, 4 * 2**20, 256 * 2**20)
# seconds of one measurement, of which the best counts
SECONDS, TRIES = 0.1, 5


class Roofline(NamedTuple):
    """Measured limits of so many threads together."""

    flops: float  # a second, a multiply-add being two
    bandwidth: tuple[tuple[int, float], ...]  # bytes of a thread's set, bytes a second read
    triad: float  # bytes a second of a = b + s c, far beyond the caches
    parts: float = 0.0  # as `flops`, of products of parts; 0 where there are none

    def rate(self, size: float, threads: int) -> float:
        """Bytes a second of what takes so much room, divided among the threads."""
        for limit, rate in self.bandwidth:
            if size / threads <= 2 * limit:
                return rate
        return self.bandwidth[-1][1]

    def higher(self, other: "Roofline") -> "Roofline":
        """The higher of each two limits."""
        bandwidth = tuple(
            (size, max(rate, other_rate))
            for (size, rate), (_, other_rate) in zip(self.bandwidth, other.bandwidth, strict=True)
        )
        return Roofline(
            max(self.flops, other.flops),
            bandwidth,
            max(self.triad, other.triad),
            max(self.parts, other.parts),
        )

    def seconds(self, point: Point, threads: int) -> float:
        """The least that a point can take."""
        steps = point.traffic - point.footprint
        bytes_ = point.footprint / self.rate(point.footprint, threads)
        if steps:
            bytes_ += steps / self.rate(point.recurrent_bytes, threads)
        fastest = max(self.flops, self.parts) if point.family == "product" else self.flops
        return max(point.flops / fastest, bytes_)


@kernel
def _multiply(x: Array, packed: Array, y: Array, times: int) -> None:
    for _ in range(times):
        multiply(x, packed, y, 0, packed.shape[0])


# sums in any order, so that vectors are added
@numba.njit(fastmath=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _read(a: Array, b: Array, times: int) -> float:
    total = np.float32(0)
    for n in range(times):
        for i in range(len(a)):
            total += a[i] * b[i]
        a[n % len(a)] = 1  # else the loop over the same sum may go
    return float(total)


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _triad(a: Array, b: Array, c: Array, times: int) -> None:
    for n in range(times):
        for i in range(len(a)):
            a[i] = b[i] + np.float32(n) * c[i]


def _rate(threads: int, make: Callable[[], Callable[[int], Any]], work: float) -> float:
    """Units a second of all threads; `make` gives a thread its function of how many times."""
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        functions = [make() for _ in range(threads)]
        times = 1
        functions[0](1)  # compiles
        while True:
            begin = time.perf_counter()
            functions[0](times)
            if time.perf_counter() - begin > SECONDS / 4:
                break
            times *= 2
        times *= 4
        for _ in range(TRIES):
            barrier = threading.Barrier(threads + 1)

            def run(
                function: Callable[[int], Any],
                barrier: threading.Barrier = barrier,
                times: int = times,
            ) -> None:
                barrier.wait()
                function(times)

            waiting = [pool.submit(run, function) for function in functions]
            barrier.wait()
            begin = time.perf_counter()
            for each in waiting:
                each.result()
            best = max(best, threads * times * work / (time.perf_counter() - begin))
    return best


def _product() -> Callable[[int], Any]:
    w = width(np.float32)
    shapes = (ROWS, DEPTH), (PANELS, DEPTH, w), (ROWS, PANELS * w)
    x, M, y = (aligned(shape, np.float32) for shape in shapes)
    x[:], M[:] = 1e-3, 1e-3
    return lambda times: _multiply(x, M, y, times)


@kernel
def _split(packed: Array, depth: int) -> None:
    split_panels(packed, depth)


def _product_of_parts() -> Callable[[int], Any]:
    w = width(np.float32)
    depth, columns = PARTS_DEPTH, PARTS_PANELS * w
    deep = panel_rows(depth, w, PARTS_ROWS, PARTS_PANELS)
    shapes = (PARTS_ROWS, depth), (PARTS_PANELS, deep, w), (PARTS_ROWS, columns)
    x, M, y = (aligned(shape, np.float32) for shape in shapes)
    x[:], M[:, :depth] = 1e-3, 1e-3
    _split(M, depth)
    return lambda times: _multiply(x, M, y, times)


def _reader(size: int) -> Callable[[int], Any]:
    a, b = (np.ones(size // 8, np.float32) for _ in range(2))
    return lambda times: _read(a, b, times)


def _streamer(size: int) -> Callable[[int], Any]:
    a, b, c = (np.ones(size // 12, np.float32) for _ in range(3))
    return lambda times: _triad(a, b, c, times)


def measure(threads: int) -> Roofline:
    """The limits of this process with so many threads."""
    w = width(np.float32)
    tile = 2.0 * ROWS * DEPTH * PANELS * w
    of_parts = 2.0 * PARTS_ROWS * PARTS_DEPTH * PARTS_PANELS * w
    return Roofline(
        _rate(threads, _product, tile),
        tuple(
            (size, _rate(threads, lambda size=size: _reader(size), size))  # type: ignore[misc]
            for size in SETS
        ),
        _rate(threads, lambda: _streamer(SETS[-1]), SETS[-1]),
        _rate(threads, _product_of_parts, of_parts) if ON else 0.0,
    )
