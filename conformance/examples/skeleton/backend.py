"""A backend of nnspec: functions named like its operations.

Arrays come as NumPy arrays, by name; anything with `__array__` or `__dlpack__` goes back: one
array, or a tuple in the order of the outputs. The operation `softmax.vjp` is the function
`softmax_vjp` and returns a dict of gradients: {"dx": …}. What is not here is unsupported, never a
pass.

Signatures: `nnspec list operations`; equations: `nnspec show primitives.softmax`.
"""

VERSION = "0.1"

# why an operation, a topic, or "vjp" is not here: shown with the verdict
UNSUPPORTED: dict[str, str] = {}

# The first operation: take the "#| " away, then `nnspec run backend.py --only softmax`.
#
#| import numpy as np
#|
#|
#| def softmax(x, axis=-1):
#|     e = np.exp(x - x.max(axis=axis, keepdims=True))
#|     return e / e.sum(axis=axis, keepdims=True)
