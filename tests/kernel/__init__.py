"""Tests of the empirical neural tangent kernel."""
