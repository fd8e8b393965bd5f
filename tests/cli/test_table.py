"""Tables on narrow terminals: several below each other, and no number cut."""

import pytest

from speedlimits.cli.table import _parts, print_table

HEADINGS = ["seed", "loss", "a long heading", "T/T_SL", "words"]
ROWS = [["0", "123456.789", "1e-300", "2.5", "some words that may be wrapped"], ["1", "1.5", "7", "1.25", "few"]]


@pytest.mark.parametrize("width", [200, 80, 60, 40, 30])
def test_tables_fit(monkeypatch, capsys, width):
    """At any width every number is whole, no line is wider, and the first column stands in each table."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    print_table(HEADINGS, ROWS, words=["seed", "words"], footer=[["mean", "61729.1", "3.5", "1.875", ""]])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    for number in ("123456.789", "1e-300", "2.5", "61729.1", "1.875"):
        assert number in text
    tables = text.count("seed")
    assert text.count("mean") == tables
    assert (tables == 1) == (width >= 80)


def test_every_column_is_in_one_part():
    """Parts share the first column alone, and keep the order."""
    parts = _parts(HEADINGS, ROWS, [], ["seed", "words"], 30)
    assert all(part[0] == 0 for part in parts)
    assert [column for part in parts for column in part[1:]] == [1, 2, 3, 4]
    assert _parts(HEADINGS, ROWS, [], ["seed", "words"], 200) == [[0, 1, 2, 3, 4]]
