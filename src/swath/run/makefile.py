"""The Makefile of a run: it stands on its own, and its targets are the splits' done files.

Names in it are keys of splits, which are safe; everything else goes through the shell's quoting and
make's. It is run from the folder of the run, so that no path with a blank is ever a target.
"""

from __future__ import annotations

import shlex
import sys

from swath.plan.plan import Plan


def quoted(text: str) -> str:
    r"""Quote text for the shell, in the value of a variable of make.

    Examples
    --------
    >>> print(quoted("/a b/$x#1"))
    '/a b/$$x\#1'
    """
    return shlex.quote(text).replace("$", "$$").replace("#", "\\#")


def makefile(plan: Plan, run: str) -> str:
    """Return the text of the Makefile that runs the splits of `plan` in the run of this id."""
    keys = [split.key for split in plan.splits]
    lines = [
        f"# Run {run}, written by Swath. It stands on its own: make -j2 -f Makefile",
        "SHELL := /bin/sh",
        "MAKEFLAGS += --no-builtin-rules",
        f"PYTHON := {quoted(sys.executable)}",
        "",
        "# One worker. What it prints goes to its log, the end of which is shown if it fails.",
        "define work",
        "@$(PYTHON) -m swath run-command commands/$(@F).json --done $@ > logs/$(@F).txt 2>&1 \\",
        " || { status=$$?; echo 'failed: $(@F); its log ends with:'; tail -n 15 logs/$(@F).txt; \\",
        " exit $$status; }",
        "endef",
        "",
        "all:" + "".join(f" \\\n done/{key}" for key in keys),
        ".PHONY: all",
        "",
    ]
    for split in plan.splits:
        upstream = "".join(f" done/{keys[i]}" for i in split.upstream)
        lines += [f"done/{split.key}:{upstream}", "\t$(work)"]
    return "\n".join(lines) + "\n"
