"""Prediction of a scene: what reading, normalising, blending and writing add to the model.

Measured: wall seconds in which `swath.learn` predicts a 4000 x 4000 image with 4 bands, block by
block, from file to label files, with a U-Net on resnet18 and windows of 256 px that overlap by
half, in float32 and in bfloat16; and the peak memory of fresh processes that predict 2000 x 2000
and 8000 x 8000 pixels and join the map. Against: the pure forward passes of the same model over the
same batches, which lie ready in memory, channels last, with the same number of threads in the same
arrangement (each batch on one core). Other layouts and arrangements are shown beside it, for which
of them is faster depends on the machine and on what else it does.

How: prediction and passes in turn, block after block of 1024 px, sums. Weights are random: a pass
takes the same time whatever they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.data import write_image
from benchmarks.measure import Usage, in_child
from benchmarks.table import Row, Target
from swath import ClassConfig, PredictOptions, Raster, SegmentationModel, Window
from swath.grid.window import tiles
from swath.learn.description import ModelDescription
from swath.learn.device import threads_of
from swath.learn.normalisation import Normalisation
from swath.learn.semantic_segmentation.forward import load_model
from swath.learn.semantic_segmentation.maps import write_map
from swath.learn.semantic_segmentation.model import build_model
from swath.learn.semantic_segmentation.prediction import load_predictor, predict_block, windows_of
from swath.learn.spec import Precision
from swath.learn.trainer import arithmetic
from swath.raster.reader import open_raster

CLASSES = ClassConfig(names=("water", "forest", "field", "town", "rock"))
N_BANDS = 4
THREADS = threads_of({})
CPU = torch.device("cpu")
RATIO = Target(1.2, "most", "ratio")


@dataclass(frozen=True)
class Setup:
    """Edges in pixels: of image, window, block, of what is timed in turn, of images for memory."""

    size: int
    window: int
    block: int
    turn: int
    edges: tuple[int, int]
    n_compared: int


SETUPS = {
    "small": Setup(256, 64, 192, 192, (192, 384), 2),
    "full": Setup(4000, 256, 2048, 1024, (2000, 8000), 6),
}


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    setup = SETUPS[size]
    image = folder / "image.tif"
    write_image(image, size=setup.size, n_bands=N_BANDS, block=min(512, setup.window))
    _write_model(folder, setup.window)
    yield from _arrangements(setup, folder, image)
    for precision, target in (("float32", RATIO), ("bfloat16", None)):
        ours, passes = _in_turn(setup, folder, image, precision)
        name, other = (
            f"prediction, {setup.size} x {setup.size}, {precision}",
            "forward passes alone",
        )
        yield Row(f"{name}, wall", ours.wall_s, "s", other, passes.wall_s, target)
        yield Row(f"{name}, CPU", ours.cpu_s, "s", other, passes.cpu_s)
    peaks = []
    for edge in setup.edges:
        write_image(folder / f"{edge}.tif", size=edge, n_bands=N_BANDS, block=min(512, edge))
        answer = in_child(
            "benchmarks.prediction:predict_scene",
            folder=str(folder),
            edge=edge,
            window=setup.window,
            block_size=setup.block,
        )
        peaks.append(answer.peak_mib)
    few, many = setup.edges
    yield Row(
        f"prediction, {many} x {many}, memory",
        peaks[1],
        "MiB",
        f"the same, {few} x {few}",
        peaks[0],
        Target(1.1, "most", "ratio"),
    )


def predict_scene(folder: str, edge: int, window: int, block_size: int) -> None:
    """Predict all blocks of a scene and join the map, as the commands do."""
    place = Path(folder)
    image = Raster(uris=str(place / f"{edge}.tif"))
    options = PredictOptions(window=window, stride=window)
    predictor = load_predictor(*_model_files(place), options, {"device": "cpu", "threads": THREADS})
    with open_raster(image) as reader:
        grid = reader.grid
    blocks = tiles(grid.shape, block_size)
    files = [place / f"{edge}-{index}.tif" for index in range(len(blocks))]
    for block, file in zip(blocks, files, strict=True):
        predict_block(predictor, image, block, file, None)
    predictor.close()
    write_map(place / f"{edge}-map.tif", grid, blocks, files, CLASSES)


def _in_turn(setup: Setup, folder: Path, image: Path, precision: Precision) -> tuple[Usage, Usage]:
    """Return what predictions and forward passes took, over all blocks."""
    options = PredictOptions(window=setup.window, stride=setup.window // 2, precision=precision)
    files, raster = _model_files(folder), Raster(uris=str(image))
    network = load_model(files[0], ModelDescription.read(files[1]))
    network.to(memory_format=torch.channels_last)
    predictor = load_predictor(*files, options, {"device": "cpu", "threads": THREADS})
    ours = passes = Usage(0.0, 0.0)
    for index, block in enumerate(tiles((setup.size, setup.size), setup.turn)):
        batches = _batches(folder, image, setup.window, block, options.batch_size)
        if index == 0:  # warm both up
            _passes_by_core(network, batches[:THREADS], precision)
            list(predictor._forward.map([_Images(b.contiguous().numpy()) for b in batches[:2]]))
        target = folder / "block.tif"
        ours = _add(ours, _used(partial(predict_block, predictor, raster, block, target, None)))
        passes = _add(passes, _used(partial(_passes_by_core, network, batches, precision)))
    predictor.close()
    return ours, passes


def _arrangements(setup: Setup, folder: Path, image: Path) -> Iterator[Row]:
    """Compare ways to run the same passes, so that prediction is held against the best one."""
    files = _model_files(folder)
    network = load_model(files[0], ModelDescription.read(files[1]))
    block = tiles((setup.size, setup.size), setup.block)[0]
    batches = _batches(folder, image, setup.window, block, 8)[: setup.n_compared]
    plain = [batch.contiguous() for batch in batches]
    n_windows = sum(len(batch) for batch in batches)
    cores, both = "a batch per core", f"every operation on {THREADS} cores"
    rates: dict[str, float] = {}

    def rate(name: str, passes: Callable[[], None]) -> None:
        passes()
        rates[name] = n_windows / _used(passes).wall_s

    rate("plain", lambda: _passes_by_core(network, plain, "float32"))
    network.to(memory_format=torch.channels_last)
    rate(cores, lambda: _passes_by_core(network, batches, "float32"))
    rate(both, lambda: _passes_one_by_one(network, batches))
    rate("bfloat16", lambda: _passes_by_core(network, batches, "bfloat16"))
    unit = "windows/s"
    yield Row("passes, channels last", rates[cores], unit, "contiguous layout", rates["plain"])
    yield Row(f"passes, {cores}", rates[cores], unit, both, rates[both])
    yield Row("passes, bfloat16", rates["bfloat16"], unit, "float32", rates[cores])


@dataclass(frozen=True)
class _Images:
    images: np.ndarray


def _batches(
    folder: Path, image: Path, window: int, block: Window, batch_size: int
) -> list[Tensor]:
    """Return what the model sees of a block, batch by batch, channels last."""
    normalise = ModelDescription.read(_model_files(folder)[1]).normalisation.apply
    with open_raster(Raster(uris=str(image))) as reader:
        images = [
            normalise(*reader.read(each))
            for each in windows_of(reader.grid.shape, window, window // 2, block)
        ]
    stacks = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
    return [
        torch.from_numpy(np.stack(stack)).contiguous(memory_format=torch.channels_last)
        for stack in stacks
    ]


def _passes_by_core(network: nn.Module, batches: Sequence[Tensor], precision: Precision) -> None:
    def forward(batch: Tensor) -> None:
        with torch.inference_mode(), arithmetic(CPU, precision):
            network(batch)

    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(forward, batches))


def _passes_one_by_one(network: nn.Module, batches: Sequence[Tensor]) -> None:
    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        for batch in batches:
            network(batch)


def _used(function: Callable[[], object]) -> Usage:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    function()
    return Usage(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _add(one: Usage, other: Usage) -> Usage:
    return Usage(one.wall_s + other.wall_s, one.cpu_s + other.cpu_s)


def _model_files(folder: Path) -> tuple[Path, Path]:
    return folder / "model.safetensors", folder / "model.json"


def _write_model(folder: Path, window: int) -> None:
    spec = SegmentationModel(architecture="unet", encoder="resnet18")
    network = build_model(spec, N_BANDS, len(CLASSES.names), seed=0)
    weights, description = _model_files(folder)
    save_file(network.state_dict(), weights)
    ModelDescription(
        task="semantic_segmentation",
        model=spec.to_json(),
        n_bands=N_BANDS,
        dtype="uint16",
        classes=CLASSES.to_json(),
        chip_size=window,
        normalisation=Normalisation.of([1800.0] * N_BANDS, [600.0] * N_BANDS),
    ).write(description)
