"""Tests of the gradient flow."""
