"""Tests of the spectra."""
