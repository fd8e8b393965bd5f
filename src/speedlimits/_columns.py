"""What the series of a trajectory are called: in records, in files, and by each clock."""

# The clocks beside that of the flow: what is time, and what is dissipation by it.
CLOCKS = {
    "step": ("steps", "step_dissipation"),
    "seconds": ("seconds", "second_dissipation"),
    "edge": ("edge_steps", "edge_dissipation"),
}
BY_CLOCK = tuple(name for names in CLOCKS.values() for name in names)

# One record's key, and the series it becomes.
COLUMNS = {
    "time": "times",
    "loss": "losses",
    "w2_squared": "w2_squared",
    "arc_length": "arc_lengths",
    "path_dissipation": "path_dissipation",
    "tolerance": "tolerances",
    "averaged_dissipation": "averaged_dissipation",
    **{name: name for name in BY_CLOCK},
    "gradient_norm_squared": "gradient_norms_squared",
    "step_gradient_squared": "step_gradients_squared",
    "gradient_evaluations": "gradient_evaluations",
    "test_accuracy": "test_accuracy",
    "weight_trace": "weight_traces",
}

# Series that need not be measured, what old files lack, and those that a later start does not change.
UNKNOWN = (
    "averaged_dissipation", "points", "gradient_norms_squared", "step_gradients_squared", "test_accuracy", *BY_CLOCK
)  # fmt: skip
LATE = ("points", "step_gradients_squared", "tolerances", "snapshot_tolerances", *BY_CLOCK)
PLAIN = ("losses", "gradient_norms_squared", "step_gradients_squared", "test_accuracy", "weight_traces")
