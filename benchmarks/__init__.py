"""Benchmarks: every claim about speed or memory, measured against a named alternative.

`python -m benchmarks` prints one table. Each module beside this one is one benchmark and says what
it measures, against what, and how. One idea: a number alone says little about a machine that is
shared, so a figure and its alternative are measured in turn, in one run, and their ratio counts.
"""
