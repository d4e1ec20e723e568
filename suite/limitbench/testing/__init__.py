"""Contract tests that every network, theory and store passes, usable by third parties."""
