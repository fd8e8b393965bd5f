"""The configuration: TOML and back, and every key checked."""

import dataclasses
import inspect
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedlimits import RunConfig

VALUES = st.fixed_dictionaries(
    {
        "samples": st.integers(1, 10_000),
        "seeds": st.lists(st.integers(0, 2**31), min_size=1, max_size=5, unique=True).map(tuple),
        "time": st.floats(1e-300, 1e300),
        "method": st.just("gd"),
        "learning_rate": st.one_of(st.just("auto"), st.floats(1e-8, 1)),
        "activation": st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20),
        "warm_start": st.floats(1e-6, 0.999),
    }
)


@given(VALUES)
def test_toml_round_trip_is_exact(values):
    """What is written is read back equal, floats to the last bit."""
    if values["learning_rate"] != "auto":
        # The time is at least one step, and no more than a milliard of them.
        values = values | {"learning_rate": values["learning_rate"] * values["time"]}
    config = RunConfig(**values)
    assert RunConfig.from_toml(config.to_toml()) == config


def test_missing_keys_keep_their_defaults():
    """A file may hold only what differs."""
    assert RunConfig.from_toml("samples = 7") == RunConfig(samples=7)


def test_difference_names_the_keys():
    """Only the keys in which two studies differ, with both values."""
    assert RunConfig(width=3, time=2.0).difference(RunConfig()) == {"width": (3, 64), "time": (2.0, 1.0)}


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smaples = 3", r"`config key` must be one of 'dataset'.*; config key = 'smaples'\."),
        ("samples = 0", r"`samples` must be an integer of at least 1; samples = 0\."),
        ("samples = 2.5", r"`samples` must be an integer of at least 1; samples = 2\.5\."),
        ("samples = true", r"`samples` must be an integer of at least 1; samples = True\."),
        (
            "learning_rate = 0.1",
            r"`learning_rate` must be 'auto' unless `method` is 'gd'; learning_rate = 0\.1, method =",
        ),
        ("rtol = 0.0", r"`rtol` must be positive and finite; rtol = 0"),
        ("time = -1.0", r"`time` must be positive and finite; time = -1\."),
        ("time = nan", r"`time` must be positive and finite; time = nan\."),
        ("learning_rate = 'fast'", r"`learning_rate` must be positive and finite; learning_rate = 'fast'\."),
        ("dtype = 'float16'", r"`dtype` must be one of 'float32', 'float64'; dtype = 'float16'\."),
        ("seeds = []", r"`seeds` must be one or more different integers; seeds = \(\)\."),
        ("seeds = [1, 1]", r"`seeds` must be one or more different integers; seeds = \(1, 1\)\."),
        ("seeds = [-1]", r"`seeds` must be an integer from 0 to 4294967295; seeds = -1\."),
        ("seeds = [0, 4294967296]", r"`seeds` must be an integer from 0 to 4294967295; seeds = 4294967296\."),
        ("seeds = [9223372036854775808]", r"`seeds` must be an integer from 0 to 4294967295"),
        ("time = true", r"`time` must be a real number; time = True\."),
        ("time = '1.0'", r"`time` must be positive and finite; time = '1\.0'\."),
        (
            "method = 'gd'\nlearning_rate = '0.1'",
            r"`learning_rate` must be positive and finite; learning_rate = '0\.1'",
        ),
        ("method = 'gd'\nlearning_rate = 1e308", r"`learning_rate` must be at most .* = 1, one step; .* = 1e\+308\."),
        ("method = 'gd'\nlearning_rate = 1e-308", r"`learning_rate` must be at least .* = 1e-09; .* = 1e-308\."),
        (
            "method = 'gd'\nlearning_rate = 0.2\nmomentum = 0.9",
            r"`learning_rate` must be at most time × \(1 − momentum\) = 0\.1, one step; learning_rate = 0\.2\.",
        ),
        ("model = 3", r"`model` must be a name; model = 3\."),
        ("warm_start = 1.0", r"`warm_start` must be below 1, a share of the time; warm_start = 1\.0\."),
        ("samples = ", r"`config` must be TOML; "),
    ],
)
def test_bad_keys_are_named(text, message):
    """Key, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        RunConfig.from_toml(text)


def test_unreadable_file_is_named(tmp_path):
    """The path stands in the error, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"`config` must be a readable TOML file; .*none\.toml"):
        RunConfig.read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.toml"):
        RunConfig.read(tmp_path / "binary.toml")


def test_every_key_has_its_help():
    """The text under each field is what `speedlimits run --help` shows."""
    text = inspect.getsource(sys.modules[RunConfig.__module__])
    for field in dataclasses.fields(RunConfig):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{field.name}:") and " = " in line)
        following = text[text.index(line) + len(line) :].lstrip()
        assert following.startswith('"""'), field.name
