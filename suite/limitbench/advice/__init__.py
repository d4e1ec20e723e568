"""Answers about one network."""
