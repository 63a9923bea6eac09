"""The operations of the spec as Numba kernels: drop-in for `nnspec.reference`.

One module per topic, the reference's names and signatures. A public function checks shapes, makes
its inputs contiguous and calls kernels, which compile at their first call, once per dtype (float32,
float64), and are cached on disk. What modules share: `jit` (compilation and its cache), `arrays`
(inputs), `scalar` (numbers), `dense` (products).
"""
