"""Ensembles of runs: their configuration, execution and store."""
