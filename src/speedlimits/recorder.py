"""Any training loop becomes a trajectory."""
