"""Tests of the misprints."""
