"""What `gradient_flow.py` is made of: problems, gains, report."""
