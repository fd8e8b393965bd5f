"""Trains networks and writes what comes of it: problems, members, runs and studies."""
