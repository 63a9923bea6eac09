"""What the kernels are compiled for: the width of a vector, the first cache, and AMX.

AMX is a unit of some x86 processors that multiplies tiles of bfloat16. A process that means to use
it has to ask Linux first, once; its threads then may.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

from numba.core.registry import cpu_target

# arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
_ARCH_PRCTL, _REQUEST, _TILES = 158, 0x1023, 18

# what Numba compiles for, and its disk cache tells apart: a triple, the processor's name, and its
# features, less what Numba's settings or its own caution in virtual machines leave out
TARGET: tuple[str, str, str] = cpu_target.target_context.codegen().magic_tuple()
FEATURES = frozenset(word[1:] for word in TARGET[2].split(",") if word.startswith("+"))
# bytes of a vector
if "avx512f" in FEATURES:
    VECTOR = 64
elif "avx2" in FEATURES:
    VECTOR = 32
else:
    VECTOR = 16
ARM = TARGET[0].startswith(("aarch64", "arm64"))
# whether a b + c is one instruction, which rounds once
FUSED = ARM or VECTOR == 64 or "fma" in FEATURES


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
    if VECTOR < 64 or not {"amx-tile", "amx-bf16"} <= FEATURES:
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILES) == 0)


# NNSPEC_AMX=0 does without: to compare, or for another machine's last bits
AMX = os.environ.get("NNSPEC_AMX") != "0" and has_tiles()
