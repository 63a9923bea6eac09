"""Where a backend computes: `--device`, for those whose framework has more than one device."""

from typing import Any

from nnspec.conformance.backends import BackendError


def choose(backend: Any, name: str, device: str) -> None:
    """Make a Python backend compute on this device from now on.

    A backend with a choice has `devices()`, the names of those that it sees, and
    `use_device(name)`. Raises BackendError where it has none, or not this one.
    """
    if not callable(getattr(backend, "use_device", None)):
        raise BackendError(f"backend '{name}' has no choice of devices; leave --device out")
    seen = backend.devices()
    if device not in seen:
        raise BackendError(f"{name} sees no {device} device; it has: {', '.join(seen)}")
    backend.use_device(device)
