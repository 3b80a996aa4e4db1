"""Ray, started on this machine or on a cluster."""

import logging
import os
from typing import Any

# Ray reads these when it starts.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report its use
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it tells us what it repairs itself
os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: whatever else runs would go first

import ray
from ray.exceptions import RaySystemError

ATTEMPTS = 5  # Ray gives up after 30 s, which its start can take on a busy machine
TOO_SLOW = "timed out during startup"


def connect(address: str | None, **options: Any) -> None:
    """Start Ray on this machine, or connect to a cluster; RAY_ADDRESS names one, too.

    Raises:
        RaySystemError: it does not start.
    """
    if ray.is_initialized():
        return
    if not address and not os.environ.get("RAY_ADDRESS"):
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    for _ in range(ATTEMPTS):
        try:
            ray.init(address, logging_level="ERROR", log_to_driver=False, **options)
            break
        except Exception as error:
            if TOO_SLOW not in str(error):
                raise
            ray.shutdown()
    else:
        raise RaySystemError(f"Ray {TOO_SLOW}, {ATTEMPTS} times.")
    logging.getLogger("ray.data").setLevel("ERROR")  # it has no other way


def processors() -> int:
    """Of all nodes."""
    return int(ray.cluster_resources().get("CPU", 1))
