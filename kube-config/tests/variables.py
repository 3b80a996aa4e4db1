"""The environment variables and flags of the containers."""

import json
from collections.abc import Iterable, Mapping

from machine import ROOT

from gateway.config import Settings

GATEWAY = {*Settings.variables().values(), "WEB_CONCURRENCY", "PROMETHEUS_MULTIPROC_DIR"}

# tensorflow_serving/model_servers/main.cc of 2.20.0
TF_SERVING_FLAGS = """
port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
batching_parameters_file enable_per_model_batching_parameters model_config_file
model_config_file_poll_wait_seconds model_name model_base_path num_load_threads num_unload_threads
max_num_load_retries load_retry_interval_micros file_system_poll_wait_seconds
flush_filesystem_caches tensorflow_session_parallelism tensorflow_session_config_file
tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism use_alts_credentials
ssl_config_file platform_config_file per_process_gpu_memory_fraction saved_model_tags
grpc_channel_arguments grpc_max_threads enable_model_warmup num_request_iterations_for_warmup
version monitoring_config_file remove_unused_fields_from_bundle_metagraph prefer_tflite_model
num_tflite_pools num_tflite_interpreters_per_pool enable_signature_method_name_check
enable_profiler thread_pool_factory_config_file mixed_precision skip_initialize_tpu
enable_grpc_healthcheck_service enable_serialization_as_tensor_content
""".split()
MODEL = {f"TFS_{flag.upper()}" for flag in TF_SERVING_FLAGS}

# src/cli_parser.cpp of OpenVINO Model Server 2026.3: the flags for a server of one model
OPENVINO_FLAGS = """
port grpc_bind_address rest_port rest_bind_address grpc_workers grpc_max_threads grpc_memory_quota
rest_workers log_level log_path grpc_channel_arguments file_system_poll_wait_seconds cache_dir
metrics_enable metrics_list model_name model_path batch_size shape layout model_version_policy
nireq target_device plugin_config
""".split()

BYTES_PER_PIXEL = 20  # 16 were measured in the worst case, WebP with alpha
WORKER_BYTES = 120_000_000


def flags(command: Iterable[str]) -> dict[str, str]:
    """The flags of a command; one without a value is "true"."""
    pairs = (argument.removeprefix("--").partition("=") for argument in command)
    return {name: value if equals else "true" for name, equals, value in pairs}


def threads(flags: Mapping[str, str]) -> set[str]:
    """The number of threads that a model server of either kind uses for an image."""
    if "plugin_config" in flags:
        return {json.loads(flags["plugin_config"])["INFERENCE_NUM_THREADS"]}
    return {value for name, value in flags.items() if name.endswith("_op_parallelism")}


def labels() -> tuple[str, ...]:
    """The labels of the newest version of the model, in its order."""
    versions = (ROOT / "model" / Settings().model_name).glob("*/assets.extra/provenance.json")
    newest = max(versions, key=lambda file: int(file.parts[-3]))
    return tuple(json.loads(newest.read_text())["run"]["labels"])


def body_bytes(environment: Mapping[str, str]) -> int:
    """The size of the bodies, which are in /tmp, when every request slot holds the largest."""
    settings = Settings.from_env(environment)
    return int(environment["WEB_CONCURRENCY"]) * settings.max_in_flight * settings.max_body_bytes


def memory_bytes(environment: Mapping[str, str]) -> int:
    """The gateway's memory when every request slot holds the worst image.

    A body is there twice: in /tmp, which is memory, and read from there. A worker decodes no more
    pixels at once than one image may have.
    """
    pixels = Settings.from_env(environment).max_image_pixels * BYTES_PER_PIXEL
    workers = int(environment["WEB_CONCURRENCY"])
    return workers * (pixels + WORKER_BYTES) + 2 * body_bytes(environment)
