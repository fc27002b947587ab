"""A config of light commands, so that sub-commands answer at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = '''
"""Two scenes are copied, with a number before each; the copies are put together."""

import time
from pathlib import Path

import swath

HERE = Path(__file__).parent


@swath.command(outputs={"text": "copy.txt"})
def copy(work):
    work.log.info("copying %s", work.unit)
    work.progress(1, 2, loss=0.5)
    text = Path(work.input("text")).read_text()
    if "fail" in text:
        raise ValueError("this text cannot be copied")
    while "wait" in text and not (HERE / "go").exists():
        time.sleep(0.01)
    work.output("text").write_text(f"{work.params['number']} {text}")


@swath.command(outputs={"all": "all.txt"})
def together(work):
    work.output("all").write_text("".join(Path(p).read_text() for p in work.inputs("texts")))


class Shop(swath.ExperimentSet):
    def exp_copies(self, root_uri: str, number: int = 1):
        files = {path.stem: {"text": path} for path in sorted(HERE.glob("*.txt"))}
        copies = copy.each(root_uri, files, number=number)
        whole = together.once(root_uri, {"texts": copies.refs("text")})
        results = {"all.txt": whole.ref("all", "all")}
        return swath.Pipeline("copies", root_uri, (copies, whole), results=results)

    def exp_single(self, root_uri: str):
        copies = copy.each(root_uri, {"one": {"text": HERE / "one.txt"}}, number=1)
        return swath.Pipeline("single", root_uri, (copies,))
'''


class Shop:
    """The config, its texts and its root."""

    def __init__(self, folder: Path, swath_cli: Callable[..., Any]) -> None:
        self.folder = folder
        self.config = folder / "shop.py"
        self.config.write_text(CONFIG)
        self.root = folder / "root of it"  # a blank, to be quoted wherever a shell reads it
        self._swath_cli = swath_cli
        self.text("one", "first\n")
        self.text("two", "second\n")

    def text(self, name: str, text: str) -> Path:
        """Write one of the texts that are copied."""
        path = self.folder / f"{name}.txt"
        path.write_text(text)
        return path

    def arguments(self, *more: object) -> list[object]:
        """Return the config, its root, and the one experiment of copies."""
        return [self.config, "-a", "root_uri", self.root, "-m", "exp_copies", *more]

    def run(self, *more: object, runner: str = "inprocess") -> Any:
        """Run the experiment of copies."""
        return self._swath_cli("run", runner, *self.arguments(*more))


@pytest.fixture
def shop(tmp_path: Path, swath_cli: Callable[..., Any]) -> Shop:
    """Return a config of light commands."""
    return Shop(tmp_path, swath_cli)
