"""Bad input: exit code 2 before any work starts, and a message that names place and mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

HEAD = """
import swath

def get_config(runner, root_uri: str, epochs: int = 1):
    def scene(name, **changes):
        fields = dict(image={image!r}, labels={labels!r}) | changes
        return swath.Scene(id=name, **fields)

    def experiment(*scenes, id="bad", **changes):
        fields = dict(
            id=id,
            root_uri=root_uri,
            task=swath.SemanticSegmentation(
                classes=swath.ClassConfig(names=("dark", "bright")),
                chips=swath.ChipSampling(size=32),
            ),
            train_scenes=scenes[:1],
            validation_scenes=scenes[1:],
        )
        return swath.Experiment(**(fields | changes))

    good = scene("good")
    return {declared}
"""


class Bench:
    """A folder with good scenes, and what is needed to spoil them."""

    def __init__(self, folder: Path, scenes: Path) -> None:
        self.folder = folder
        self.root: str = str(folder / "root")
        self.image = str(scenes / "a.tif")
        self.labels = str(scenes / "a-labels.tif")
        self.config = folder / "config.py"

    def declare(self, declared: str) -> None:
        self.config.write_text(HEAD.format(image=self.image, labels=self.labels, declared=declared))

    def scene(self, **changes: str) -> None:
        """Declare an experiment whose training scene has other fields, given as source text."""
        inner = ", ".join(f"{name}={text}" for name, text in changes.items())
        self.declare(f"experiment(scene('spoilt', {inner}), good)")

    def raster(self, name: str, like: str, **changes: Any) -> str:
        """Write a copy of a raster with another profile or other values."""
        values = changes.pop("values", None)
        path = self.folder / name
        with rasterio.open(like) as source:
            profile = {**source.profile, **changes}
            pixels = source.read() if values is None else values
        with rasterio.open(path, "w", **profile) as target:
            target.write(pixels[:, : profile["height"], : profile["width"]])
        return str(path)

    def area(self, name: str, *corner: float) -> str:
        """Write a GeoJSON of one square of 100 m, or of none, in the CRS of the images."""
        import geopandas
        import shapely

        squares = []
        if corner:
            x, y = corner
            squares = [shapely.box(x, y, x + 100, y + 100)]
        path = self.folder / name
        frame = geopandas.GeoDataFrame(geometry=squares, crs="EPSG:32633")
        frame.to_file(path, driver="GPKG")
        return str(path)


def missing_image(b: Bench) -> None:
    b.scene(image=f"'{b.folder}/no-such.tif'")


def missing_labels(b: Bench) -> None:
    b.scene(labels=f"'{b.folder}/no-such.tif'")


def missing_area(b: Bench) -> None:
    b.scene(area=f"'{b.folder}/no-such.gpkg'")


def missing_weights(b: Bench) -> None:
    b.declare(
        "experiment(scene('a'), good, task=swath.SemanticSegmentation("
        "classes=swath.ClassConfig(names=('dark', 'bright')), chips=swath.ChipSampling(size=32),"
        f"model=swath.SegmentationModel(weights='{b.folder}/no-such.safetensors')))"
    )


def task_with(fields: str) -> str:
    return (
        "swath.SemanticSegmentation(classes=swath.ClassConfig(names=('dark', 'bright')),"
        f"chips=swath.ChipSampling(size=32), {fields})"
    )


def misspelt_weights(b: Bench) -> None:
    task = task_with("model=swath.SegmentationModel(weights='imagnet')")
    b.declare(f"experiment(scene('a'), good, task={task})")


def misspelt_encoder(b: Bench) -> None:
    task = task_with("model=swath.SegmentationModel(encoder='resnet81')")
    b.declare(f"experiment(scene('a'), good, task={task})")


def misspelt_target_class(b: Bench) -> None:
    task = task_with("").replace("size=32", "size=32, target_classes=('brigth',)")
    b.declare(f"experiment(scene('a'), good, task={task})")


def unreadable_image(b: Bench) -> None:
    path = b.folder / "broken.tif"
    path.write_bytes(Path(b.image).read_bytes()[:100])
    b.scene(image=f"'{path}'")


def labels_on_another_grid(b: Bench) -> None:
    shifted = Affine(10.0, 0, 5e5 + 15, 0, -10.0, 5e6)
    b.scene(labels=f"'{b.raster('shifted.tif', b.labels, transform=shifted)}'")


def labels_in_another_crs(b: Bench) -> None:
    b.scene(labels=f"'{b.raster('zone34.tif', b.labels, crs='EPSG:32634')}'")


def labels_of_another_size(b: Bench) -> None:
    b.scene(labels=f"'{b.raster('small.tif', b.labels, height=60)}'")


def undeclared_class(b: Bench) -> None:
    values = np.full((1, 64, 64), 7, np.uint8)
    b.scene(labels=f"'{b.raster('seven.tif', b.labels, values=values)}'")


def no_such_band(b: Bench) -> None:
    b.scene(image=f"swath.Raster(uris='{b.image}', bands=(0, 3))")


def empty_area(b: Bench) -> None:
    b.scene(area=f"'{b.area('empty.gpkg')}'")


def area_elsewhere(b: Bench) -> None:
    b.scene(area=f"'{b.area('far.gpkg', 6e5, 6e6)}'")


def area_outside_the_image(b: Bench) -> None:
    b.scene(area="swath.WindowArea(windows=[(500, 500, 10, 10)])")


def unknown_field(b: Bench) -> None:
    b.scene(labls="'x.tif'")


def missing_field(b: Bench) -> None:
    b.declare("swath.Scene(id='x')")


def one_scene_in_two_roles(b: Bench) -> None:
    b.declare("experiment(good, good)")


def chip_size_that_does_not_fit_the_model(b: Bench) -> None:
    b.declare(
        "experiment(scene('a'), good, task=swath.SemanticSegmentation("
        "classes=swath.ClassConfig(names=('a', 'b')), chips=swath.ChipSampling(size=50)))"
    )


def two_experiments_with_one_id(b: Bench) -> None:
    b.declare("[experiment(scene('a'), good), experiment(scene('b'), good)]")


def id_that_is_no_name(b: Bench) -> None:
    b.declare("experiment(scene('a'), good, id='a/b')")


def no_experiment(b: Bench) -> None:
    b.config.write_text("x = 1\n")


def not_an_experiment(b: Bench) -> None:
    b.declare("42")


def syntax_error(b: Bench) -> None:
    b.config.write_text("import swath\n\ndef get_config(runner:\n    pass\n")


def no_config(b: Bench) -> None:
    b.config = b.folder / "no-such-config.py"


def json_that_is_none(b: Bench) -> None:
    b.config = b.folder / "config.json"
    b.config.write_text("{")


def json_of_a_later_schema(b: Bench) -> None:
    b.config = b.folder / "config.json"
    b.config.write_text('{"schema": 99}')


def root_is_a_file(b: Bench) -> None:
    b.declare("experiment(scene('a'), good)")
    Path(b.root).write_text("in the way")


def root_below_a_file(b: Bench) -> None:
    b.declare("experiment(scene('a'), good)")
    b.root = "/proc/version/below"


def root_on_a_remote_store(b: Bench) -> None:
    b.declare("experiment(scene('a'), good)")
    b.root = "az://container/root"


def root_of_unknown_scheme(b: Bench) -> None:
    b.declare("experiment(scene('a'), good)")
    b.root = "ftp://host/root"


def output_larger_than_the_disk(b: Bench) -> None:
    b.config.write_text("""
import swath

def get_config(runner, root_uri: str):
    unit = swath.Unit(name="huge", outputs={"x": "x.bin"}, output_bytes=10**18)
    command = swath.Command("huge", "no.such:function", root_uri, (unit,))
    return swath.Pipeline(id="huge", root=root_uri, commands=(command,))
""")


def cycle(b: Bench) -> None:
    b.config.write_text("""
import swath

def get_config(runner, root_uri: str):
    def command(kind, reads, writes):
        inputs, outputs = {"in": root_uri + reads}, {"out": root_uri + writes}
        unit = swath.Unit(name="x", inputs=inputs, outputs=outputs)
        return swath.Command(kind, "no.such:function", root_uri, (unit,))
    return swath.Pipeline(
        id="cycle", root=root_uri, commands=(command("one", "/b", "/a"), command("two", "/a", "/b"))
    )
""")


def clashing_outputs(b: Bench) -> None:
    b.config.write_text("""
import swath

def get_config(runner, root_uri: str):
    def command(kind):
        unit = swath.Unit(name="x", outputs={"out": root_uri + "/same"})
        return swath.Command(kind, "no.such:function", root_uri, (unit,))
    return swath.Pipeline(id="clash", root=root_uri, commands=(command("one"), command("two")))
""")


CASES: list[tuple[Callable[[Bench], None], tuple[str, ...]]] = [
    (missing_image, ("no-such.tif", "'spoilt'", "mend:")),
    (missing_labels, ("no-such.tif", "spoilt", "mend:")),
    (missing_area, ("no-such.gpkg", "spoilt", "mend:")),
    (missing_weights, ("no-such.safetensors", "train", "mend:")),
    (misspelt_weights, ("'bad', model.weights", "'imagnet'", "Did you mean imagenet")),
    (misspelt_encoder, ("'bad', model.encoder", "'resnet81'", "Did you mean resnet18")),
    (misspelt_target_class, ("chips.target_classes", "'brigth'", "Did you mean 'bright'?")),
    (unreadable_image, ("broken.tif", "'spoilt'", "mend:")),
    (labels_on_another_grid, ("shifted.tif", "500015", "mend:")),
    (labels_in_another_crs, ("zone34.tif", "EPSG:32633", "EPSG:32634", "mend:")),
    (labels_of_another_size, ("small.tif", "60", "64", "mend:")),
    (undeclared_class, ("seven.tif", "7", "mend:")),
    (no_such_band, ("a.tif", "3 bands", "spoilt", "bands from 0 to 2")),
    (empty_area, ("empty.gpkg", "empty", "mend:")),
    (area_elsewhere, ("far.gpkg", "do not meet", "mend:")),
    (area_outside_the_image, ("spoilt", "64 x 64", "mend:")),
    (unknown_field, ("'labls'", "config.py", "Did you mean 'labels'?")),
    (missing_field, ("'image' is missing", "config.py", "mend:")),
    (one_scene_in_two_roles, ("validation_scenes[0]", "'good'", "config.py")),
    (chip_size_that_does_not_fit_the_model, ("50 px", "chips.size", "32 or 64")),
    (two_experiments_with_one_id, ("2 experiments have the id 'bad'", "config.py", "mend:")),
    (id_that_is_no_name, ("'a/b'", "config.py", "letters")),
    (no_experiment, ("declares no experiment", "config.py", "get_config")),
    (not_an_experiment, ("returned a int", "config.py", "mend:")),
    (syntax_error, ("line 3", "config.py", "mend:")),
    (no_config, ("no-such-config.py", "mend:")),
    (json_that_is_none, ("no JSON", "config.json")),
    (json_of_a_later_schema, ("schema is 99", "config.json", "newer Swath")),
    (root_is_a_file, ("root", "cannot be written to", "mend:")),
    (root_below_a_file, ("/proc/version/below", "cannot be written to", "mend:")),
    (root_on_a_remote_store, ("az://container", "AZURE_STORAGE_ACCOUNT_NAME", "mend:")),
    (root_of_unknown_scheme, ("ftp://host/root", "'ftp'", "mend:")),
    (output_larger_than_the_disk, ("MiB", "free", "mend:")),
    (cycle, ("cycle", "one", "two", "mend:")),
    (clashing_outputs, ("/same", "one", "two", "mend:")),
]


@pytest.fixture
def bench(tiny_scenes: Path, tmp_path: Path) -> Bench:
    return Bench(tmp_path, tiny_scenes)


@pytest.mark.parametrize(("spoil", "told"), CASES, ids=[case[0].__name__ for case in CASES])
def test_bad_declaration_is_refused_before_work_starts(
    spoil: Callable[[Bench], None], told: tuple[str, ...], bench: Bench, swath_cli: Any
) -> None:
    spoil(bench)
    answer = swath_cli("run", "local", bench.config, "-a", "root_uri", bench.root)
    assert answer.exit_code == 2, answer.err
    for part in told:
        assert part in answer.err
    assert "Traceback" not in answer.err
    assert list(bench.folder.glob("root/runs")) == []


def test_a_model_is_looked_up_only_if_it_will_be_trained(bench: Bench, swath_cli: Any) -> None:
    misspelt_weights(bench)
    answer = swath_cli("run", "local", bench.config, "analyze", "-a", "root_uri", bench.root)
    assert answer.exit_code == 0, answer.err


GOOD = ("-a", "root_uri", "ROOT")
USAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown argument": (
        ("run", "local", "CONFIG", *GOOD, "-a", "epoch", "3"),
        ("'epoch'", "Did you mean 'epochs'?", "epochs: int = 1"),
    ),
    "argument of a wrong type": (
        ("run", "local", "CONFIG", *GOOD, "-a", "epochs", "many"),
        ("'epochs'", "'many'", "epochs: int = 1"),
    ),
    "missing argument": (
        ("run", "local", "CONFIG"),
        ("'root_uri' is missing", "-a root_uri VALUE"),
    ),
    "misspelt command": (
        ("run", "local", "CONFIG", "trian", *GOOD),
        ("'trian'", "Did you mean 'train'?"),
    ),
    "misspelt runner": (("run", "locl", "CONFIG", *GOOD), ("'locl'", "Did you mean 'local'?")),
    "misspelt sub-command": (("rnu", "local", "CONFIG"), ("'rnu'", "Did you mean 'run'?")),
    "misspelt option": (("run", "local", "CONFIG", "--split", "2"), ("--split",)),
    "misspelt scene": (
        ("run", "local", "CONFIG", *GOOD, "--only-scene", "god"),
        ("'god'", "Did you mean 'good'?"),
    ),
    "splits that are no count": (
        ("run", "local", "CONFIG", *GOOD, "--splits", "0"),
        ("--splits '0'", "mend:"),
    ),
    "misspelt setting": (
        ("run", "local", "CONFIG", *GOOD, "--set", "local.job=2"),
        ("'local.job'", "Did you mean 'local.jobs'?"),
    ),
    "no such experiment": (
        ("run", "local", "CONFIG", *GOOD, "-f", "good*"),
        ("no experiment matches good*", "bad"),
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_is_refused_before_work_starts(case: str, bench: Bench, swath_cli: Any) -> None:
    bench.declare("experiment(scene('a'), good)")
    arguments, told = USAGE[case]
    places = {"CONFIG": str(bench.config), "ROOT": bench.root}
    answer = swath_cli(*(places.get(item, item) for item in arguments))
    assert answer.exit_code == 2, answer.err
    for part in told:
        assert part in answer.err
    assert not Path(bench.root, "runs").exists()


def test_several_problems_are_told_at_once(bench: Bench, swath_cli: Any) -> None:
    bench.declare(
        f"experiment(scene('a', labels='{bench.raster('x.tif', bench.labels, crs='EPSG:32634')}'),"
        "scene('b', area=swath.WindowArea(windows=[(500, 500, 10, 10)])))"
    )
    answer = swath_cli("check", bench.config, "-a", "root_uri", bench.root)
    assert answer.exit_code == 2
    assert "x.tif" in answer.err
    assert "scene b: area" in answer.err
    assert "2 problems found; nothing was run." in answer.err
    as_json = swath_cli("check", bench.config, "-a", "root_uri", bench.root, "--json")
    assert as_json.exit_code == 2
    problems = json.loads(as_json.out)["problems"]
    assert [set(problem) for problem in problems] == [{"what", "where", "mend"}] * 2


def test_errors_of_declarations_have_their_code_as_a_real_command(bench: Bench) -> None:
    bench.scene(image=f"'{bench.folder}/no-such.tif'")
    command = [sys.executable, "-m", "swath", "plan", str(bench.config), "-a", "root_uri", "x"]
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=bench.folder, env=os.environ
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith("error: ")
