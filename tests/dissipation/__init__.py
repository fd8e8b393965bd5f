"""Tests of dissipation."""
