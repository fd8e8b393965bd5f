"""Where members are trained: on this machine or a Ray cluster."""
