"""Networks in NTK parametrisation."""
