"""The empirical neural tangent kernel: formed where it fits, applied without forming it where it does not."""
