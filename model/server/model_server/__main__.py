"""python -m model_server --port=8500 --model_name=NAME --model_base_path=FOLDER"""

import argparse
import logging
import sys
from pathlib import Path

from model_server import processor
from model_server.batching_parameters import BatchingParameters
from model_server.tensorflow_loading import import_tensorflow


def read_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=8500, help="gRPC port; 0 chooses a free one")
    add("--model_name", default="default", help="the name that requests must give")
    add("--model_base_path", type=Path, required=True, help="the folder of the version folders")
    add(
        "--enable_batching",
        type=_read_bool,
        nargs="?",
        const=True,
        default=False,
        help="run concurrent requests as one batch",
    )
    add("--batching_parameters_file", type=Path, help="in TensorFlow Serving's format")
    add("--file_system_poll_wait_seconds", type=float, default=1.0)
    add("--tensorflow_intra_op_parallelism", type=int, default=0, help="0: the engine's choice")
    add("--tensorflow_inter_op_parallelism", type=int, default=0, help="0: TensorFlow's choice")
    add(
        "--engine",
        choices=("auto", "tensorflow", "openvino", "openvino-int8"),
        default="auto",
        help="what runs the model; auto: openvino on processors with AVX2, otherwise tensorflow",
    )
    add(
        "--mixed_precision",
        choices=("auto", "bfloat16", "off"),
        default="auto",
        help="auto: bfloat16 where the processor has instructions for it",
    )
    flags = parser.parse_args(arguments)
    if not flags.model_base_path.is_dir():
        parser.error(f"--model_base_path: no such folder: {flags.model_base_path}")
    if flags.batching_parameters_file and not flags.enable_batching:
        parser.error("--batching_parameters_file is given without --enable_batching")
    return flags


def read_batching(flags: argparse.Namespace) -> BatchingParameters | None:
    if not flags.enable_batching:
        return None
    file = flags.batching_parameters_file
    return BatchingParameters.read(file) if file else BatchingParameters()


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level="INFO")
    logging.getLogger("tensorflow").setLevel("ERROR")  # each load logs a deprecation warning
    flags = read_flags()
    try:
        precision = processor.precision(flags.mixed_precision, processor.flags())
        batching = read_batching(flags)
    except (OSError, ValueError) as error:
        sys.exit(f"model_server: {error}")
    import_tensorflow()  # takes seconds, so only with flags that are valid
    from model_server import server

    server.run(flags, precision, batching)


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


if __name__ == "__main__":
    main()
