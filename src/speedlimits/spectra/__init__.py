"""Spectra of kernels and data: the Marchenko–Pastur law, power laws and their fits."""
