"""Answers about a module of one's own: measured, read as an architecture, and compared with every theory of it."""
