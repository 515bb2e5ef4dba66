"""Batches: many runs over a parameter space, with repetitions, resumed after any stop."""
