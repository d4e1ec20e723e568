"""Figures of the report: plain functions from results to a matplotlib figure, one kind per file."""
