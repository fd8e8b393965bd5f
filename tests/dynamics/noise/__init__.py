"""Tests of the Langevin integrators."""
