"""Numerical kernels: random streams, shaping, SDE stepping, Kolmogorov-forward and characteristic-function solvers."""
