"""`speedlimits theory`: the closed forms of the paper, one module per system they are for."""
