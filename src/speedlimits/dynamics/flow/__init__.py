"""Gradient flow: the solver, its step-size control and the one-step methods it may use."""
