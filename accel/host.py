"""What the kernels are compiled for: the width of a vector, the first cache, and AMX.

AMX is a unit of some x86 processors that multiplies tiles of bfloat16. A process that means to use
it has to ask Linux first, once; its threads then may.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core.codegen import get_host_cpu_features

# arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
_ARCH_PRCTL, _REQUEST, _TILES = 158, 0x1023, 18

_config: Any = numba.config


def _features() -> frozenset[str]:
    """What Numba compiles for: NUMBA_CPU_FEATURES, or else what the processor has.

    Numba leaves AVX out where NUMBA_ENABLE_AVX is 0, or a virtual machine hides what it runs on.
    """
    given = _config.CPU_FEATURES
    words: str = get_host_cpu_features() if given is None else given
    return frozenset(word[1:] for word in words.split(",") if word.startswith("+"))


PROCESSOR: str = _config.CPU_NAME or llvm.get_host_cpu_name()
FEATURES = _features()
# bytes of a vector
if "avx512f" in FEATURES:
    VECTOR = 64
elif "avx2" in FEATURES:
    VECTOR = 32
else:
    VECTOR = 16
ARM = llvm.get_process_triple().startswith(("aarch64", "arm64"))
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
