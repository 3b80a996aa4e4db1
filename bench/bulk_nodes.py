"""Several Ray nodes on this machine that share its processors, in processes of their own.

    python bench/bulk_nodes.py NODES

Prints the address, and ends with its input.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster


def main() -> None:
    nodes = int(sys.argv[1])
    cluster = Cluster()
    for _ in range(nodes):
        cluster.add_node(num_cpus=(os.cpu_count() or 1) // nodes, include_dashboard=False)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
