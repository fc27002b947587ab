"""A config: chips are cut from scenes, a model learns from all chips, and maps every scene.

Scenes are texts at `raw_uri`; the scene ``bad`` cannot be read.
"""

from __future__ import annotations

from pathlib import Path

import swath

SCENES = ("a", "b", "c", "d", "e", "f", "g", "h")


@swath.command(outputs={"chips": "chips.txt"})
def chip(work: swath.Work) -> None:
    """Cut a scene into chips."""
    text = Path(work.input("scene")).read_text()
    if text == "bad":
        raise ValueError(f"scene {work.unit} cannot be read")
    work.output("chips").write_text(",".join(text))


@swath.command(outputs={"model": "model.txt"}, resources=swath.Resources(gpus=1, memory_gib=12))
def train(work: swath.Work) -> None:
    """Learn every chip by heart."""
    texts = [Path(path).read_text() for path in work.inputs("chips")]
    work.output("model").write_text("".join(sorted({c for text in texts for c in text})))


@swath.command(outputs={"map": "map.txt"}, resources=swath.Resources(gpus=1))
def predict(work: swath.Work) -> None:
    """Map a scene."""
    known = Path(work.input("model")).read_text()
    scene = Path(work.input("scene")).read_text()
    work.output("map").write_text("".join(c.upper() if c in known else "?" for c in scene))


def get_config(raw_uri: str, root_uri: str) -> swath.Pipeline:
    """Declare the three commands over all scenes."""
    scenes = {name: {"scene": f"{raw_uri}/{name}.txt"} for name in SCENES}
    chips = chip.each(root_uri, scenes)
    model = train.once(root_uri, {"chips": chips.refs("chips")})
    learnt = {"model": model.ref("all", "model")}
    maps = predict.each(root_uri, {name: inputs | learnt for name, inputs in scenes.items()})
    return swath.Pipeline(
        "land-cover", root_uri, (chips, model, maps), results={"a.txt": maps.ref("a", "map")}
    )
