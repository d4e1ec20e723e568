"""Finite random networks at initialisation, each family with its samplers side by side."""
