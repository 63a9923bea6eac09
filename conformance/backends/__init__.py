"""Backends by name: adapters that ship, and any importable module or object.

A backend is anything whose attributes are operation names (`gru_step`, `gru_step_vjp`): callables
that take the arrays of the operation by keyword and return an array, a tuple in the order of the
outputs, or a dict by output name. What it lacks is unsupported. A few attributes are optional:
`UNSUPPORTED` maps an operation or a topic to the reason why it is not there, and marks what has no
operation yet as a backend; `DTYPES` lists the dtypes that it takes, and `VERSION` says which
release of what was run. One that can compute on more than one device has `devices()`, which names
them, and `use_device(name)`.
"""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

SHIPPED = (
    *("reference", "accel", "witness"),
    *("onnxruntime", "onnx_reference", "jax", "torch", "keras"),
)
# the extra of the package that brings a backend what it needs, where it has another name
EXTRAS = {"onnx_reference": "onnx"}


class Unsupported(Exception):  # noqa: N818 (a verdict, not an error)
    """Raised by a backend that cannot express a case; the reason is shown with the verdict."""


class BackendError(ValueError):
    """A backend that cannot be loaded; the message says why and what to do."""


def load(name: str) -> Any:
    """The backend of this name: one that ships, a module, `module:object`, or a path ending in .py.

    Raises BackendError.
    """
    if name in SHIPPED:
        try:
            return importlib.import_module(f"nnspec.conformance.backends.{name}")
        except ModuleNotFoundError as error:
            raise BackendError(
                f"backend '{name}' needs the package '{error.name}', which is not installed;"
                f" install it with: pip install 'nnspec[{EXTRAS.get(name, name)}]'"
            ) from None
        except Exception as error:
            raise BackendError(f"backend '{name}': {_where(error)}") from None
    module_name, _, attribute = name.partition(":")
    module = _import(module_name)
    if not attribute:
        return module
    if not hasattr(module, attribute):
        raise BackendError(f"backend '{name}': module {module_name} has no '{attribute}'")
    return getattr(module, attribute)


def _import(name: str) -> ModuleType:
    try:
        if name.endswith(".py"):
            path = Path(name).resolve()
            if not path.is_file():
                raise BackendError(f"backend '{name}': there is no such file")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(name)
    except BackendError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BackendError(
                f"no backend '{name}': it is neither one that ships ({', '.join(SHIPPED)}) nor a"
                " module that Python can import from here"
            ) from None
        raise BackendError(f"backend '{name}': {_where(error)}") from None
    except (Exception, SystemExit) as error:
        raise BackendError(f"backend '{name}': {_where(error)}") from None


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"importing it raised {type(error).__name__}: {error}{at}"
