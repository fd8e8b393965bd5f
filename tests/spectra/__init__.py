"""Tests of spectra and their laws."""
