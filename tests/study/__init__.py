"""Tests of configuration, execution and store."""
