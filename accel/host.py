"""What the processor has, as far as the kernels ask: the width of a vector, its cache, and AMX.

AMX is a unit of some x86 processors that multiplies tiles of bfloat16. A process that means to use
it has to ask Linux first, once; its threads then may.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

import llvmlite.binding as llvm

# arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
_ARCH_PRCTL, _REQUEST, _TILES = 158, 0x1023, 18

_features = llvm.get_host_cpu_features()
# bytes of a vector
if _features.get("avx512f"):
    VECTOR = 64
elif _features.get("avx2"):
    VECTOR = 32
else:
    VECTOR = 16


def _first_cache() -> int:
    """Bytes of the first-level cache for data; 48 KB where Linux does not tell."""
    told = Path("/sys/devices/system/cpu/cpu0/cache/index0/size")
    try:
        return int(told.read_text(encoding="ascii").strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        return 48 << 10


FIRST_CACHE = _first_cache()


def has_tiles() -> bool:
    """Whether there are tiles of bfloat16, and Linux gives them to this process."""
    if VECTOR < 64 or not (_features.get("amx-tile") and _features.get("amx-bf16")):
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILES) == 0)


# NNSPEC_AMX=0 does without: to compare, or for another machine's last bits
AMX = os.environ.get("NNSPEC_AMX") != "0" and has_tiles()
