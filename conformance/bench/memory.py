"""The peak memory of one call in a fresh process, beyond its inputs and outputs."""

import sys
from pathlib import Path
from typing import Any

from nnspec.conformance.bench.grid import Point

# of the memory that is free, what a call may use before it is refused more
SHARE = 0.5


def _status(field: str) -> int:
    """A number of bytes that Linux knows of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise NotImplementedError(f"this system does not tell {field}")


def _limit() -> None:
    """Refuse what would take more than a share of the free memory: no process is to be killed."""
    import resource  # not on every system

    import psutil

    most = _status("VmSize") + int(SHARE * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def peak(module: Any, name: str, point: Point, small: Point) -> int | None:
    """Bytes of the peak beyond what was there before and the outputs; None where it is no point.

    What has to be loaded and compiled is, by the same operation at a small size, before. Raises
    NotImplementedError where the system does not tell the peak.
    """
    if not sys.platform.startswith("linux"):
        raise NotImplementedError("the peak is read from /proc, which this system does not have")
    for _, make in module.ways(name, small, small.inputs()):
        ready = make()
        ready.call()
        break
    else:
        return None
    _, make = next(iter(module.ways(name, point, point.inputs())))
    ready = make()
    _limit()
    # the peak so far is forgotten
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    result = ready.call()
    most = _status("VmHWM")
    outputs: int = sum(array.nbytes for array in ready.outputs(result).values())
    return max(most - before - outputs, 0)
