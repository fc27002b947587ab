"""Export a segmentation network as ONNX, to run where there is no torch.

One idea: the exported graph ends in probabilities and says nothing of the machine that wrote it;
names of source files that the exporter leaves in it are taken out, so the bytes are the same
everywhere with the same versions.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

INPUT = "image"
OUTPUT = "probabilities"


class _WithProbabilities(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image)
        return logits.softmax(1)


def export_onnx(model: nn.Module, n_bands: int, size: int, path: Path) -> None:
    """Write a network as ONNX.

    Parameters
    ----------
    model
        Network on CPU; it is put into evaluation mode.
    n_bands, size
        The input ``image`` is ``(n, n_bands, size, size)`` float32, normalised, for any n. The
        output ``probabilities`` is ``(n, class, size, size)`` float32.
    path
        File to write, weights included.
    """
    wrapped = _WithProbabilities(model).eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, n_bands, size, size)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():  # the exporter's own affairs
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                wrapped,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"image": {0: torch.export.Dim("n", min=1)}},
                verbose=False,
            )
            assert program is not None
            proto = program.model_proto
    finally:
        logger.setLevel(level)
    _forget_origin(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _forget_origin(proto: onnx.ModelProto) -> None:
    proto.doc_string = ""
    del proto.metadata_props[:]
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
        for value in graph.value_info:
            del value.metadata_props[:]
    for tensor in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del tensor.metadata_props[:]
