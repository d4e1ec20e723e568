"""Studies: one published result each, as a runnable object."""
