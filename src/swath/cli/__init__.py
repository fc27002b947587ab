"""The command line: one file per sub-command, which parses, calls one function and renders."""
