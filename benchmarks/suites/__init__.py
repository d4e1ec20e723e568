"""What asv runs, all lower is better: samplers, steps, laws, sweeps, reports; errors of laws (`accuracy_*`)."""
