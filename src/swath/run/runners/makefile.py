"""The Makefile of a run: it stands on its own, and its targets are the splits' done files.

Names in it are keys of splits, which are safe; everything else goes through the shell's quoting and
make's. It is run from the folder of the run, so that no path with a blank is ever a target.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from swath.run.folder import RunFolder
from swath.run.splits import RunSplit


def quoted(text: str) -> str:
    r"""Quote text for the shell, in the value of a variable of make.

    Examples
    --------
    >>> print(quoted("/a b/$x#1"))
    '/a b/$$x\#1'
    """
    return shlex.quote(text).replace("$", "$$").replace("#", "\\#")


def makefile(splits: Sequence[RunSplit], folder: RunFolder) -> str:
    """Return the text of the Makefile that runs these splits of a run."""
    keys = [split.key for split in splits]
    copy = "" if folder.is_local else "--copy-output "
    lines = [
        f"# Run {folder.id}, written by Swath. It stands on its own: make -j2 -f Makefile",
        "SHELL := /bin/sh",
        "MAKEFLAGS += --no-builtin-rules",
        f"PYTHON := {quoted(sys.executable)}",
        f"RUN := {'.' if folder.is_local else quoted(folder.uri)}",
        "",
        "# One worker. What it prints goes to its log, the end of which is shown if it fails.",
        "define work",
        f"@$(PYTHON) -m swath run-command {copy}$(RUN)/commands/$(@F).json \\",
        " > logs/$(@F).txt 2>&1 && touch $@ || { status=$$?; \\",
        " echo 'failed: $(@F); its log ends with:'; tail -n 15 logs/$(@F).txt; exit $$status; }",
        "endef",
        "",
        "DONE :=" + "".join(f" \\\n done/{key}" for key in keys),
        "all: $(DONE)",
        ".PHONY: all",
        "# A worker writes its done file itself: make must not take it for half made when it is",
        "# stopped in the moment between that and the end of the worker.",
        ".PRECIOUS: $(DONE)",
        "",
    ]
    for split in splits:
        upstream = "".join(f" done/{keys[i]}" for i in split.upstream)
        lines += [f"done/{split.key}:{upstream}", "\t$(work)"]
    return "\n".join(lines) + "\n"
