"""Benchmarks for asv, all lower is better: seconds of samplers (`throughput`) and errors of laws (`accuracy_*`)."""
