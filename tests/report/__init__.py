"""Tests of figures and page."""
