"""Squared Wasserstein-2 distances between laws: in closed form, by quadrature, or bounded from a stated side."""
