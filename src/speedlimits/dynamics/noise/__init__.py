"""Langevin dynamics of ensembles: sampled steps, exact ones and annealing."""
