"""The equations, one readable NumPy function per operation, one module per topic."""
