"""Laws, distances, intervals, scores, tests and rate fits: numpy in, numbers out."""
