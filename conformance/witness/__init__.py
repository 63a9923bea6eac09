"""The second transcription of every operation: scalar loops over indices, from the spec's text.

Nothing here may import `nnspec.reference` or copy its code. A function takes the arrays of its
operation, reads them element by element only, and returns nested lists (a tuple of them where
there are several outputs). `np.exp` and its like act on one number, of any type.
"""
