"""What `advice.py` and `step_length.py` share: small problems, one training loop, and rates tuned on other seeds."""
