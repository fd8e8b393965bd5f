"""Entropy production times temperature, by every route the paper gives."""
