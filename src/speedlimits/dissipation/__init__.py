"""Dissipation, entropy production times temperature, in every way the paper gives."""
