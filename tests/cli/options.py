"""Options of a run that takes a second."""

TINY = ["--samples", "20", "--width", "4", "--seeds", "0", "1", "--time", "0.01", "--records", "20", "--snapshots", "6"]
