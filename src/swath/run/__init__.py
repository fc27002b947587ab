"""Carry out a plan: runners, the worker that does one split, and what a run leaves on disk.

`prepare` writes the folder of a run, a runner carries it out, `worker` does one split, `events` and
`status` tell how it goes. What the commands compute is not known here.
"""
