"""Backends by name: adapters that ship, and any importable module or object.

A backend is anything whose attributes are operation names (`gru_step`, `gru_step_vjp`): callables that
take the arrays of the operation by keyword and return an array, a tuple in the order of the outputs,
or a dict by output name. What it lacks is unsupported. Three attributes are optional:
`UNSUPPORTED` maps an operation or a topic to the reason why it is not there, `DTYPES` lists the dtypes
that it takes, and `VERSION` says which release of what was run.
"""


class Unsupported(Exception):  # noqa: N818 (a verdict, not an error)
    """Raised by a backend that cannot express a case; the reason is shown with the verdict."""
