"""Stepping of stochastic differential equations: problems, steppers, coupled step lengths, multilevel Monte Carlo."""
