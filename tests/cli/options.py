"""Options of runs that take a second."""

# One worker: to start a second takes longer than its work.
TINY = ["--samples", "20", "--width", "4", "--seeds", "0", "1", "--time", "0.01", "--records", "20", "--snapshots", "6"]
TINY += ["--workers", "1"]
# With noise.
NOISY = ["--samples", "6", "--width", "2", "--members", "400", "--time", "0.2", "--records", "5", "--strengths", "3"]
NOISY += ["--step", "0.01", "--anneal-steps", "2", "--inverse-temperature", "5"]
