"""How weights move: the integrators and what they measure on the way."""
