"""`nnspec bench`: accel, the reference and the installed frameworks, timed in turns."""
