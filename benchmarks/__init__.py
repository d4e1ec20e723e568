"""Benchmarks: costs and errors by asv (`suites`), two commits (`gate`), other libraries (`peers`), GPUs (`gpu`)."""
