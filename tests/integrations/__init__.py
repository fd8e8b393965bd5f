"""Tests of `speedlimits.integrations` by real, short trainings."""
