"""A small cluster: each pod in a network namespace of its own, a real resolver, real sockets.

The gateway runs with the environment and the resolver settings of its Deployment, the model
servers, which are light fakes, with the connection age of theirs.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from drawings import encode, gradient
from machine import ROOT, need, need_mounts, need_root, note, output
from manifests import rendered
from test_manifests import connection_age, environment

CLIENTS = 4  # no more than one gateway worker has places
MIN_REQUESTS = 2_000
DNS_TTL = 5  # seconds, as on EKS
SLACK = 3  # seconds, for a machine that is busy
SUFFIX = "sports.svc.cluster.local"
TESTS = Path(__file__).parent


class Pod:
    """A network namespace with an address, and what runs there."""

    def __init__(self, bridge: str, number: int, folder: Path) -> None:
        self.name, self.address = f"{bridge}-{number}", f"10.213.0.{number}"
        self.log = folder / f"{self.name}.log"
        self.resolv = Path("/etc/netns") / self.name / "resolv.conf"
        self.process: subprocess.Popen[bytes] | None = None
        inside = ("ip", "-netns", self.name)
        output("ip", "netns", "add", self.name)
        output("ip", "link", "add", self.name, "type", "veth", "peer", "eth0", "netns", self.name)
        output("ip", "link", "set", self.name, "master", bridge, "up")
        output(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        output(*inside, "link", "set", "eth0", "up")
        output(*inside, "link", "set", "lo", "up")
        # `ip netns exec` puts this file in the place of /etc/resolv.conf.
        self.resolv.parent.mkdir(parents=True)
        self.resolv.write_text(f"nameserver 10.213.0.1\nsearch {SUFFIX}\noptions ndots:1\n")

    def start(self, *command: str, **options: object) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], stdout=log, **options
            )

    def stop(self, how: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(how)
        self.process.wait(40)

    def remove(self) -> None:
        if self.process and self.process.poll() is None:
            self.stop(signal.SIGTERM)
        self.resolv.unlink()
        self.resolv.parent.rmdir()
        output("ip", "netns", "delete", self.name)

    def asked(self) -> list[float]:
        """When this model server was asked about a picture."""
        return [float(line) for line in self.log.read_text().splitlines(keepends=True)[:-1]]


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.bridge, self.folder = f"sp{os.getpid() % 100_000}", folder
        self.hosts = folder / "hosts"
        self.stack = ExitStack()
        self.manifests = rendered("eks")

    def __enter__(self) -> "Cluster":
        output("ip", "link", "add", self.bridge, "type", "bridge")
        self.stack.callback(output, "ip", "link", "delete", self.bridge)
        output("ip", "address", "add", "10.213.0.1/24", "dev", self.bridge)
        output("ip", "link", "set", self.bridge, "up")
        self.hosts.touch()
        flags = f"--listen-address=10.213.0.1 --bind-interfaces --addn-hosts={self.hosts}"
        flags += f" --keep-in-foreground --no-hosts --no-resolv --local-ttl={DNS_TTL} --user=root"
        self.resolver = subprocess.Popen(["dnsmasq", "--conf-file=/dev/null", *flags.split()])
        self.stack.callback(self.resolver.wait)
        self.stack.callback(self.resolver.terminate)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def pod(self, number: int) -> Pod:
        pod = Pod(self.bridge, number, self.folder)
        self.stack.callback(pod.remove)
        return pod

    def resolve_to(self, *pods: Pod) -> None:
        """What the headless Service's name means from now on."""
        name = f"sports-model-service.{SUFFIX}"
        self.hosts.write_text("".join(f"{pod.address} {name}\n" for pod in pods))
        self.resolver.send_signal(signal.SIGHUP)

    def model(self, number: int) -> Pod:
        pod = self.pod(number)
        option = f"grpc.max_connection_age_ms={connection_age(self.manifests) * 1000:.0f}"
        path = f"{ROOT / 'gateway'}:{ROOT / 'gateway/tests'}"
        environ = {**os.environ, "PYTHONPATH": path}
        pod.start(sys.executable, str(TESTS / "model_pod.py"), option, env=environ)
        wait_for_port(pod, 8500)
        return pod

    def gateway(self) -> str:
        pod = self.pod(100)
        (metrics := self.folder / "metrics").mkdir()
        environ = {**os.environ, **environment(self.manifests.container("gateway"))}
        environ |= {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        gunicorn = str(Path(sys.executable).with_name("gunicorn"))
        pod.start(gunicorn, env=environ, cwd=ROOT / "gateway")
        wait_for_port(pod, 9696)
        return f"http://{pod.address}:9696"


def wait_for_port(pod: Pod, port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and pod.process and pod.process.poll() is None:
        with suppress(OSError), socket.create_connection((pod.address, port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"nobody listens at {pod.address}:{port}")


class Load:
    """Clients that ask without a pause; `answers` holds each status or error."""

    def __init__(self, url: str) -> None:
        self.url, self.picture = f"{url}/predict", encode(gradient())
        self.answers: list[int | str] = []
        self._more = threading.Condition()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many more have been answered."""
        with self._more:
            goal = len(self.answers) + count
            assert self._more.wait_for(lambda: len(self.answers) >= goal, 120)

    def _ask(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Content-Type"] = "image/jpeg"
            while not self._over.is_set():
                try:
                    answer = session.post(self.url, data=self.picture, timeout=30).status_code
                except requests.RequestException as error:
                    answer = repr(error)
                with self._more:
                    self.answers.append(answer)
                    self._more.notify_all()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    need_root()
    need("ip", "dnsmasq")
    need_mounts()
    with Cluster(tmp_path) as cluster:
        yield cluster


def test_no_request_is_lost_while_pods_die_come_and_go(cluster: Cluster) -> None:
    first, second = cluster.model(11), cluster.model(12)
    cluster.resolve_to(first, second)
    url = cluster.gateway()
    with Load(url) as load:
        load.wait_for(600)
        shares = [len(pod.asked()) for pod in (first, second)]
        assert min(shares) > 0.4 * sum(shares)

        third = cluster.model(13)
        changed = time.monotonic()
        cluster.resolve_to(first, third)  # the second is leaving, as in a rolling update
        patience = connection_age(cluster.manifests) * 1.1 + DNS_TTL + SLACK
        while time.monotonic() < changed + patience:
            load.wait_for(20)
        second.stop(signal.SIGTERM)  # its preStop is over
        load.wait_for(600)

        first.stop(signal.SIGKILL)  # while the resolver still names it
        load.wait_for(600)

    joined, left = min(third.asked()) - changed, max(second.asked()) - changed
    note(
        f"{len(load.answers)} requests over pods that died, came and went: {lost(load)} lost;"
        f" the new pod was asked after {joined:.1f} s, the leaving one no more after {left:.1f} s"
    )
    assert lost(load) == 0, set(load.answers)
    assert len(load.answers) >= MIN_REQUESTS
    assert max(joined, left) <= patience


def lost(load: Load) -> int:
    return sum(answer != 200 for answer in load.answers)
