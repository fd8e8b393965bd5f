"""Breaks every term of every equation in EQUATIONS.md, and sees that the tests its row names notice: `make mutation`.

A row names functions and tests. `_targets` finds the functions, `_breaks` lists the ways to break each, and `_run`
breaks one at a time in a process of its own and runs the row's tests there, and no others. `results.json` keeps the
counts.
"""
