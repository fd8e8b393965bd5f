"""Tests of the integrators."""
