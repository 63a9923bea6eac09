"""Two drawings: how many times as long as accel each peer takes, and accel under its roofs."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from nnspec.conformance.bench.contenders import PEERS
from nnspec.conformance.bench.grid import PASSES
from nnspec.conformance.bench.session import Session

COLOURS = {"torch": "tab:orange", "onnxruntime": "tab:blue", "jax": "tab:green"}
FAMILY_COLOURS = {"recurrent": "tab:purple", "attention": "tab:red", "product": "tab:brown"}
MARKERS = "o^sDvP"


def draw(session: Session, path: Path) -> None:
    """Write the drawing; the ending of the name tells the format."""
    mpl.rcParams["svg.hashsalt"] = "nnspec"
    points = list(dict.fromkeys(m.point for m in session.measured))
    threads = list(session.rooflines)
    marker = {n: MARKERS[i % len(MARKERS)] for i, n in enumerate(threads)}
    height = max(5.0, 0.17 * len(points) + 1.5)
    figure = Figure(figsize=(15, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))

    row = {point: len(points) - 1 - i for i, point in enumerate(points)}
    for peer in PEERS:
        for n in threads:
            found = [
                (ratio, row[m.point])
                for m in session.measured
                if m.threads == n and (ratio := m.ratio(peer)) is not None
            ]
            if found:
                x, y = zip(*found, strict=True)
                left.plot(x, y, marker[n], color=COLOURS[peer], ms=5, label=f"{peer}, threads: {n}")
    left.axvline(1, color="black", lw=1)
    left.set_xscale("log")
    left.set_yticks(
        list(row.values()),
        [f"{p.operation} {p.shape} {PASSES[p.backward]}" for p in row],
        fontsize=7,
    )
    left.set_ylim(-1, len(points))
    left.grid(axis="x", alpha=0.4)
    left.set_xlabel("time of the peer / time of accel")
    left.legend(fontsize=8)

    for n, roof in session.rooflines.items():
        here = [m for m in session.measured if m.threads == n and m.median("accel")]
        intensity = np.geomspace(0.05, 1000, 200)
        for size, rate in roof.bandwidth:
            right.plot(
                intensity,
                np.minimum(max(roof.flops, roof.parts), intensity * rate) / 1e9,
                lw=0.8,
                color="grey",
                ls="-" if n == threads[0] else "--",
            )
            right.annotate(
                f"{size // 1024} KiB, threads: {n}", (0.06, 0.06 * rate / 1e9), fontsize=6
            )
        for family, colour in FAMILY_COLOURS.items():
            members = [m for m in here if m.point.family == family]
            if members:
                right.plot(
                    [m.point.flops / m.point.traffic for m in members],
                    [m.point.flops / (m.median("accel") or 1) / 1e9 for m in members],
                    marker[n],
                    color=colour,
                    ms=4,
                    label=f"{family}, threads: {n}",
                )
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("FLOP per byte of inputs, outputs and weights read anew")
    right.set_ylabel("GF/s of accel")
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, metadata=metadata)
