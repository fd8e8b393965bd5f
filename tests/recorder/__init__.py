"""Tests of the recorder, in training loops as people write them."""
