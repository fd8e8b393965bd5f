"""Real data sets as plain arrays."""
