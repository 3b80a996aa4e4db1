"""Converted graphs in a folder, as converting a SavedModel takes seconds."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import openvino

from model_server.openvino_core import CORE
from model_server.saved_model import Graph, read_graph
from tf_serving import api_pb2 as tf

KEPT = 8  # graphs; older ones are deleted
CACHE_ERRORS = (OSError, ValueError, RuntimeError)  # the last is OpenVINO's
FILE, STRINGS = "graph.xml", "strings.json"


def read_cached_graph(
    folder: Path, signature: tf.SignatureDef, outputs: Collection[str], cache: Path | None
) -> Graph:
    """Convert what computes some outputs of a signature, or read what was converted before.

    Args:
        folder: of a version.
        signature: of its SavedModel.
        outputs: names in the signature.
        cache: where converted graphs are kept; None: nowhere.

    Raises:
        Unimplemented: OpenVINO cannot convert it.
    """
    if cache is None:
        return read_graph(folder, signature, outputs)
    kept = cache / f"graph-{_digest(folder, signature, outputs)}"
    try:
        return _read(kept)
    except CACHE_ERRORS:  # not there yet, or damaged
        graph = read_graph(folder, signature, outputs)
    try:
        _write(graph, kept)
        return _read(kept)  # its weights are mapped from the file, not in memory
    except CACHE_ERRORS:  # such as of a full disk, or another server was first
        return graph


def _read(folder: Path) -> Graph:
    strings = json.loads((folder / STRINGS).read_text())
    model = CORE.read_model(folder / FILE)
    return Graph(model, np.array([text.encode() for text in strings], object))


def _write(graph: Graph, folder: Path) -> None:
    """Write a graph, so that another process sees all of it or nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    graphs = sorted(folder.parent.glob("graph-*"), key=lambda one: one.stat().st_mtime)
    for old in graphs[: max(0, len(graphs) - KEPT + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as written:
        openvino.save_model(graph.model, Path(written) / FILE, compress_to_fp16=False)
        strings = [text.decode() for text in graph.strings]
        (Path(written) / STRINGS).write_text(json.dumps(strings))
        Path(written).rename(folder)


def _digest(folder: Path, signature: tf.SignatureDef, outputs: Collection[str]) -> str:
    """Differs whenever the converted graph could."""
    digest = hashlib.sha256(openvino.__version__.encode())
    digest.update(signature.SerializeToString(deterministic=True))
    digest.update(json.dumps(sorted(outputs)).encode())
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(folder)).encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
