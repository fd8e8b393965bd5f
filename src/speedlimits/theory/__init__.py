"""Closed forms of the paper, independent of torch: the oracle the dynamics is tested against."""
