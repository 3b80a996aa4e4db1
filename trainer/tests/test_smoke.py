"""`train.py --smoke` on the small towers, and the version that it exports."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import train
from conftest import TINY, TINY_299
from export import SERVED, ExportError, export
from tensorflow_serving.apis import prediction_log_pb2

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.SMOKE_TOWER", TINY)
        patch.setattr("sys.argv", ["train.py", "--smoke", "--run-folder", str(folder)])
        train.main()
    return folder


@pytest.fixture(scope="module")
def version(trained: Path) -> Path:
    return trained / "exported" / "1"


def test_the_smoke_run_performs_all_steps(trained: Path) -> None:
    run = json.loads((trained / "run.json").read_text())
    assert run["towers"] == [TINY, TINY_299]
    assert run["images"] == {"train": 18, "validation": 3, "outliers": 0}
    assert run["base_weights"] == {TINY: f"{TINY}.weights.h5", TINY_299: "none"}
    for tower in run["towers"]:
        assert (trained / f"{tower}.weights.h5").is_file()
    assert len((trained / TINY / "log.csv").read_text().splitlines()) == 2


def test_inputs_and_outputs_of_the_signatures(version: Path) -> None:
    signatures = tf.saved_model.load(str(version)).signatures
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), np.uint8))
    shapes = {"probabilities": (3, 3), "labels": (3, 3), "in_domain": (3,)}
    for name, expected in (
        ("serving_default", shapes),
        ("explain", {**shapes, "heatmaps": (3, 8, 8)}),
    ):
        outputs = signatures[name](images=images)
        assert {key: tuple(value.shape) for key, value in outputs.items()} == expected
        np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], 1), 1, atol=1e-5)
        assert outputs["labels"][2, 0] == b"badminton"
    assert float(tf.reduce_min(outputs["heatmaps"])) >= 0
    assert float(tf.reduce_max(outputs["heatmaps"])) <= 1


def test_loads_in_the_way_of_tensorflow_serving(version: Path) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(version))
        for signature in ("serving_default", "explain"):
            definition = graph.signature_def[signature]
            outputs = {name: info.name for name, info in definition.outputs.items()}
            feed = {definition.inputs["images"].name: np.zeros((1, 299, 299, 3), np.uint8)}
            assert session.run(outputs, feed)["probabilities"].shape == (1, 3)


def test_provenance_names_the_run(trained: Path, version: Path) -> None:
    provenance = json.loads((version / "assets.extra" / "provenance.json").read_text())
    assert provenance["run"] == json.loads((trained / "run.json").read_text())
    assert set(provenance) == {
        *("run", "manifest_sha256", "calibration", "reliability", "versions")
    }
    assert provenance["versions"]["keras"] == keras.__version__


def test_held_out_images_are_counted_by_how_sure_the_model_is(version: Path) -> None:
    held_out = json.loads((version / "assets.extra" / "held_out.json").read_text())
    for name in ("probability", "in_domain"):
        counts = held_out[name]
        assert list(counts.values()) == sorted(counts.values())
        assert counts["1.0"] == held_out["images"] > 0
    accepted = held_out["images"] - held_out["in_domain"]["0.5"]
    assert accepted > held_out["images"] / 2


def test_warm_up_requests(version: Path) -> None:
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    assert file.stat().st_size < 10_000
    batches = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        images = tf.make_ndarray(request.inputs["images"])
        assert (images.shape[1:], images.dtype) == ((299, 299, 3), np.uint8)
        batches.append((request.model_spec.signature_name, len(images)))
    sizes = [1, 2, 4, 8, 16]
    assert batches == [*(("serving_default", size) for size in sizes), ("explain", 1)]


def test_an_existing_version_is_not_overwritten(trained: Path, version: Path) -> None:
    with pytest.raises(ExportError, match="exists already"):
        export(trained, trained, version.parent, version=1)


def test_the_served_folder_is_refused(trained: Path) -> None:
    with pytest.raises(ExportError, match="is served"):
        export(trained, trained, SERVED, version=99)
    assert not (SERVED / "99").exists()
