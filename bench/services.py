"""The service and its peers: which processes each consists of."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import run_local
from processes import Command, Service

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench/peers"
PLAIN_EXPORT = Path(tempfile.gettempdir()) / "sports-bench-plain"  # written by peers/plain.py
OPERATIONS = PLAIN_EXPORT / "operations"  # float operations per image; written there, too
OUR_MODEL = ROOT / "model/sport-classification-model"
VERSION = max(OUR_MODEL.iterdir(), key=lambda folder: int(folder.name))  # the newest

FLAGS = (
    *("--enable_batching", f"--batching_parameters_file={ROOT / 'model/batching.conf'}"),
    f"--grpc_max_threads={run_local.MODEL_THREADS}",
)
# As many request slots as clients, for images from one address.
SLOTS_FOR_ALL = {"GATEWAY_MAX_IN_FLIGHT": "32", "GATEWAY_MAX_PER_SOURCE": "32"}
# gunicorn would end workers that have been suspended for longer than its usual timeout.
PATIENT = {"GUNICORN_CMD_ARGS": "--timeout=3600"}


def python(environment: str) -> str:
    return run_local.tool(environment, "python")


def ours(
    name: str, precision: str, settings: dict[str, str] | None = None, checkout: Path = ROOT
) -> Service:
    """Gateway and model server as `make run` starts them, for images from this machine."""
    server = _model_server(OUR_MODEL, *FLAGS, f"--precision={precision}")
    return Service(name, (server, _gateway(checkout, settings or {})))


def gateway_alone(workers: int, checkout: Path = ROOT) -> Service:
    """A checkout's gateway in front of a model server that answers at once."""
    fake_serving = ("-m", "gateway_testing.fake_serving", "127.0.0.1:{model_port}", "0")
    server = Command((python("dev"), *fake_serving), ROOT / "gateway")
    settings = {**SLOTS_FOR_ALL, "WEB_CONCURRENCY": str(workers)}
    return Service("gateway alone", (server, _gateway(checkout, settings)))


def _gateway(checkout: Path, settings: dict[str, str]) -> Command:
    """gunicorn imports from the folder that it runs in first, so from this checkout."""
    environ = {**run_local.GLIBC, "GATEWAY_ALLOW_PRIVATE_SOURCES": "true", **settings}
    return Command((run_local.tool("run", "gunicorn"),), checkout / "gateway", environ)


def _model_server(base_path: Path, *flags: str) -> Command:
    """The embedded model server, which stands in for TensorFlow Serving."""
    arguments = (
        *(python("run"), "-m", "model_server", "--port={model_port}"),
        "--model_name=sport-classification-model",
        f"--model_base_path={base_path}",
        *flags,
    )
    return Command(arguments, ROOT / "model/server")


def peers() -> list[Service]:
    reference = (python("bench-reference"), "reference.py", "{port}")
    gunicorn = ("-m", "gunicorn", "--bind=127.0.0.1:{port}", "--threads=32")
    monolith = (python("bench-monolith"), *gunicorn, "monolith:app")
    litserve = (python("bench-litserve"), "litserve_peer.py", "{port}")
    bentoml = (
        *(run_local.tool("bench-bentoml", "bentoml"), "serve", "bentoml_peer:Gateway"),
        *("--host=127.0.0.1", "--port={port}"),
    )
    tf_server = (python("bench-reference"), "tf_server.py", "{model_port}", str(PLAIN_EXPORT))
    return [
        Service("reference", (Command(tf_server, PEERS), Command(reference, PEERS))),
        Service("Flask + gunicorn", (_with_model(monolith),)),
        Service("LitServe", (_with_model(litserve),)),
        Service("BentoML", (_with_model(bentoml),)),
    ]


def _with_model(arguments: Sequence[str]) -> Command:
    """A peer that loads the model itself."""
    environ = {"MODEL": str(VERSION), "TF_CPP_MIN_LOG_LEVEL": "2", "BENTOML_DO_NOT_TRACK": "true"}
    return Command(arguments, PEERS, environ | PATIENT)


def make_plain_export() -> None:
    """Export the weights as Keras itself does, unless that was done since they changed."""
    exported = PLAIN_EXPORT / "1/saved_model.pb"
    ours = VERSION / "saved_model.pb"
    if not exported.exists() or exported.stat().st_mtime < ours.stat().st_mtime:
        shutil.rmtree(PLAIN_EXPORT, ignore_errors=True)
        command = [python("dev"), str(PEERS / "plain.py"), str(exported.parent)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
