"""Compilation: `kernel` for what Python calls, `helper` for what kernels call, and the disk cache.

A view of an array costs a count of its references, up and down, each as long as a small product.
What neither makes an array nor returns one does without: `lean_kernel` and `lean_helper`; what
returns a part of an array to those alone is a `lean_view`. A call costs some 20 ns, as an array is
ten numbers to hand on: what every step of a small layer calls is `inlined`.

Numba keys a cached kernel on the text of the kernel's own file: after an edit of a helper in
another file it goes on to load the old machine code. Nor does it key on NUMBA_BOUNDSCHECK. So each
kernel has a cache folder here that is named after everything its code depends on, and no entry can
be stale:

    ROOT/nnspec-PLACE/MODULE-SOURCES-OPTIONS/DTYPE/

SOURCES is a hash of the module and of all modules of this package that it imports, directly or
not, as they were when they were imported: an edit during the process changes nothing. OPTIONS is
one of Numba's settings and of the processor: a home folder may serve several machines. ROOT is
NUMBA_CACHE_DIR, else __pycache__ beside this file, else the user's cache folder: the first that
can be written; where none can, nothing is cached. Folders of other SOURCES are deleted when a new
one is made.

A folder holds one signature of each kernel: two processes that save different signatures of one
kernel at the same time could otherwise give one's code the other's name, since Numba chooses the
name and writes it to the index before it writes the code.
"""

import ast
import functools
import hashlib
import inspect
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering
from numba.extending import register_jitable

from nnspec.accel.host import AMX, FIRST_CACHE, TARGET

P = ParamSpec("P")
R = TypeVar("R")

HERE = Path(__file__).parent
PACKAGE = __name__.rpartition(".")[0]

# Numba's types are not those of every version of it
njit: Any = numba.njit
config: Any = numba.config


# see `_Lower`; llvmlite does not know these attributes, but prints them
ATTRIBUTES = '"prefer-vector-width"="512" "stackrealign"'


class _Lower(Lower):  # type: ignore[misc]
    """Code whose loops may take the widest vectors, and whose stack has room for whole ones.

    LLVM keeps to half of them on some processors, which are said to slow down with 512 bits; they
    have not for years, and a loop of exponentials takes 0.6 times as long. Other processors' code
    is the same. And vectors that do not fit into registers it keeps wherever the caller's stack
    happens to lie: where that is across cache lines, attention takes 1.5 times as long.
    """

    def setup_function(self, fndesc: Any) -> None:
        """The function with these attributes."""
        super().setup_function(fndesc)
        set.add(self.function.attributes, ATTRIBUTES)


@register_pass(mutates_CFG=True, analysis_only=False)
class _VectorLowering(NativeLowering):  # type: ignore[misc]
    _name = "vector_lowering"

    @property
    def lowering_class(self) -> type[_Lower]:
        return _Lower


class _Part(JITCodeLibrary):  # type: ignore[misc]
    """A helper's code, for its callers to take in as it is.

    Numba would optimise it, and make machine code of it, for each helper and once more for each
    caller that has taken it in: three quarters of the time until a kernel is there.
    """

    # whom Numba tells the code's environment
    codegen = SimpleNamespace(set_env=lambda name, environment: None)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(_VectorLowering):
    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower into a part."""
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        return bool(super().run_pass(state))


class Compiler(CompilerBase):  # type: ignore[misc]
    """Numba's own passes, but for that of vectors."""

    lowering: type[NativeLowering] = _VectorLowering

    def define_pipelines(self) -> list[Any]:
        """The one pipeline there is."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (self.lowering if each is NativeLowering else each, why)
            for each, why in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


class PartCompiler(Compiler):
    """The same for a helper."""

    lowering = _PartLowering


# without numpy's error model a division checks for 0 and raises; never all of fastmath: it makes
# isnan(nan) False
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "pipeline_class": Compiler,
    "no_cfunc_wrapper": True,
}
LEAN = OPTIONS | {"_nrt": False}

_lock = threading.Lock()
_texts: dict[str, bytes | None] = {}


def text(module: str) -> bytes | None:
    """The source of a module of this package at the first call for it; None for another module.

    Every decorator here calls it, so that the first call is at the module's import.
    """
    if module not in _texts:
        try:
            _texts[module] = (HERE / f"{module.removeprefix(PACKAGE + '.')}.py").read_bytes()
        except OSError:
            _texts[module] = None
    return _texts[module]


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """A function for kernels to call, from any file, and compiled into each; Python may call it."""
    return _part(function, OPTIONS)


def lean_helper(function: Callable[P, R]) -> Callable[P, R]:
    """A helper without reference counts: it makes no array and returns none."""
    return _part(function, LEAN)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A lean helper that costs no call: its code stands wherever it is called."""
    return _part(function, LEAN, inline=True)


def lean_view(function: Callable[P, R]) -> Callable[P, R]:
    """A helper that returns parts of arrays, for lean helpers and lean kernels alone.

    It becomes a part of them, before there are types: by itself, Numba would refuse it.
    """
    text(function.__module__)
    compiled: Callable[P, R] = njit(inline="always", **LEAN)(function)
    return compiled


def contracted(function: Callable[P, R]) -> Callable[P, R]:
    """A helper whose a * b + c may be one fused instruction, which rounds once."""
    return _part(function, OPTIONS | {"fastmath": {"contract"}})


def _part(
    function: Callable[P, R], options: dict[str, Any], *, inline: bool = False
) -> Callable[P, R]:
    text(function.__module__)
    if "_nrt" in options:  # its caller would count down what was never counted up
        assert "Array" not in str(inspect.signature(function).return_annotation)
    # where nothing is said of inlining, a helper is as its first caller
    how = options | {"pipeline_class": PartCompiler, "forceinline": inline}
    there: Callable[P, R] = register_jitable(**how)(function)
    return there


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """A function for Python to call, compiled and cached per dtype of its first argument.

    All its floating arguments have that dtype, and its arrays are C-contiguous and writable (see
    `arrays`), so that each dtype has one signature. A kernel cannot call a kernel.
    """
    return _called(function, OPTIONS)


def lean_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """A kernel without reference counts: it makes no array, and calls no helper that returns one.

    Such a helper would count up what is never counted down, and the array would never be freed; a
    `lean_view` does not.
    """
    return _called(function, LEAN)


def _called(function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    text(function.__module__)
    if config.DISABLE_JIT:

        @functools.wraps(function)
        def interpret(*args: P.args, **kwargs: P.kwargs) -> R:
            with np.errstate(all="ignore"):  # as compiled code, which gives no warnings
                return function(*args, **kwargs)

        return interpret

    compiled: dict[str, Callable[P, R]] = {}  # by the dtype's letter: to hash a dtype takes longer

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        dtype = args[0].dtype  # type: ignore[attr-defined]
        ready = compiled.get(dtype.char)
        if ready is None:
            ready = compiled[dtype.char] = _compile(function, options, str(dtype))
            return _first(ready, function, str(dtype), *args, **kwargs)
        return ready(*args, **kwargs)

    return call


def _compile(function: Callable[P, R], options: dict[str, Any], dtype: str) -> Callable[P, R]:
    """The dispatcher of a kernel for one dtype; it compiles or loads at its first call."""
    compiled: Callable[P, R]
    with _lock:
        folder = cache_folder(function.__module__)
        if folder is None:
            compiled = njit(nogil=True, **options)(function)
            return compiled
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder / dtype)
        try:
            # the folder is read here, once, and not at the first call
            compiled = njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # the folder has gone since, and Numba knows no other
            compiled = njit(nogil=True, **options)(function)
        finally:
            config.CACHE_DIR = before
        return compiled


def _first(
    compiled: Callable[P, R], function: Callable[P, R], dtype: str, *args: Any, **kwargs: Any
) -> R:
    """The first call in this process, which says so where it has to compile."""
    folder = cache_folder(function.__module__)
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    if folder is not None and any((folder / dtype).rglob(f"{name}-*.nbi")):
        return compiled(*args, **kwargs)
    label = f"{function.__module__}.{function.__qualname__.strip('_')} for {dtype}"
    print(f"{label}: compiling, once on this machine …", end="", file=sys.stderr, flush=True)
    begin = time.monotonic()
    try:
        return compiled(*args, **kwargs)
    finally:
        print(f" {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


def sources(module: str) -> dict[str, bytes]:
    """The source of a module of this package, and of all that it imports from this package."""
    found: dict[str, bytes] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        source = text(name) if name.startswith(f"{PACKAGE}.") else None
        if source is None or name in found:
            continue
        found[name] = source
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                # either the module, or the package that has it
                todo += [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
    return dict(sorted(found.items()))


def _hash(*parts: bytes) -> str:
    """A name for these parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:12]


def _roots() -> list[Path]:
    """Where the cache may be, best first."""
    if sys.platform == "win32":
        user = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        user = "~/Library/Caches"
    else:
        user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    wanted = [config.CACHE_DIR] if config.CACHE_DIR else []
    return [Path(root) for root in (*wanted, HERE / "__pycache__", os.path.expanduser(user))]


@functools.cache
def cache_folder(module: str) -> Path | None:
    """The folder for the kernels of a module of this package; None where none can be written."""
    texts = sources(module)
    if not texts:
        return None
    code = _hash(*(part for name, source in texts.items() for part in (name.encode(), source)))
    settings = (
        config.BOUNDSCHECK,
        int(config.OPT),
        config.DEBUGINFO_DEFAULT,
        OPTIONS,
        TARGET,
        AMX,
        FIRST_CACHE,
    )
    options = _hash(repr(settings).encode())
    stem = module.rpartition(".")[2]
    place = _hash(str(HERE.resolve()).encode())
    for root in _roots():
        folder = root / f"nnspec-{place}" / f"{stem}-{code}-{options}"
        new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        if new:
            for other in folder.parent.glob(f"{stem}-*"):
                if not other.name.startswith(f"{stem}-{code}-"):
                    shutil.rmtree(other, ignore_errors=True)
        return folder
    return None
