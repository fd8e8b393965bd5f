"""Distances between laws: squared Wasserstein-2 in closed form, exactly or bounded from a named side."""
