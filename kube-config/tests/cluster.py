"""A small cluster: each pod in a network namespace of its own, a real resolver, real sockets."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import run_local
from gateway_testing.service import Service
from machine import ROOT, output
from manifests import rendered

DNS_TTL = 5  # seconds, as in EKS
DOMAIN = "sports.svc.cluster.local"


class Pod:
    """A network namespace with an address, in which one process runs."""

    def __init__(self, name: str, address: str, log: Path) -> None:
        self.name, self.address, self.log = name, address, log
        self.process: subprocess.Popen[bytes] | None = None

    def stop(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait()

    def requests(self) -> int:
        """How many requests this model server has worked on."""
        return self.log.read_bytes().count(b"request\n")

    def refusals(self) -> int:
        """How many calls this model server had no thread for."""
        return self.log.read_bytes().count(b"refusal\n")


class Cluster:
    """A bridge with a DNS server and pods, which are removed at the end."""

    def __init__(self, folder: Path) -> None:
        number = os.getpid()
        self._bridge, self._network = f"sp{number % 100_000}", f"10.213.{number % 250}"
        self._folder, self._hosts = folder, folder / "hosts"
        self._stack = ExitStack()
        self._manifests = rendered("eks")

    def __enter__(self) -> "Cluster":
        with ExitStack() as stack:
            output("ip", "link", "add", self._bridge, "type", "bridge")
            stack.callback(output, "ip", "link", "delete", self._bridge)
            address = f"{self._network}.1"
            output("ip", "address", "add", f"{address}/24", "dev", self._bridge)
            output("ip", "link", "set", self._bridge, "up")
            self._hosts.touch()
            command = f"""dnsmasq --conf-file=/dev/null --listen-address={address} --bind-interfaces
                --addn-hosts={self._hosts} --keep-in-foreground --no-hosts --no-resolv
                --local-ttl={DNS_TTL} --user=root"""
            server = run_local.running(command.split(), os.environ, self._folder)
            self._resolver = stack.enter_context(server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pod(self, number: int) -> Pod:
        """A pod in which nothing runs yet."""
        name, address = f"{self._bridge}-{number}", f"{self._network}.{number}"
        output("ip", "netns", "add", name)
        self._stack.callback(output, "ip", "netns", "delete", name)
        output("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", name)
        output("ip", "link", "set", name, "master", self._bridge, "up")
        output("ip", "-netns", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            output("ip", "-netns", name, "link", "set", device, "up")
        # `ip netns exec` mounts this file at /etc/resolv.conf.
        resolv = Path("/etc/netns") / name / "resolv.conf"
        resolv.parent.mkdir(parents=True)
        self._stack.callback(resolv.parent.rmdir)
        resolv.write_text(
            f"nameserver {self._network}.1\nsearch {DOMAIN}\noptions ndots:1 timeout:5\n"
        )
        self._stack.callback(resolv.unlink)
        return Pod(name, address, self._folder / f"{name}.log")

    def _start(self, pod: Pod, command: list[str], environ: Mapping[str, str]) -> None:
        log = self._stack.enter_context(pod.log.open("wb"))
        command = ["ip", "netns", "exec", pod.name, *command]
        pod.process = self._stack.enter_context(
            run_local.running(command, environ, ROOT / "gateway", log)
        )

    def model(self, number: int) -> Pod:
        """Start a model server with the connection age of its Deployment."""
        pod = self.pod(number)
        age = f"grpc.max_connection_age_ms={self._manifests.connection_age() * 1000:.0f}"
        program = str(Path(__file__).with_name("model_pod.py"))
        self._start(pod, [sys.executable, program, age], os.environ)
        return pod

    def resolve_to(self, *pods: Pod, name: str = f"sports-model-service.{DOMAIN}") -> None:
        """Set the addresses of the headless model Service, or of the only name that there is."""
        self._hosts.write_text("".join(f"{pod.address} {name}\n" for pod in pods))
        self._resolver.send_signal(signal.SIGHUP)

    def gateway(self) -> Service:
        """Start the gateway with the environment of its Deployment."""
        pod = self.pod(100)
        (metrics := self._folder / "metrics").mkdir()
        environ = {**os.environ, **self._manifests.environment("gateway")}
        environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        self._start(pod, [str(Path(sys.executable).with_name("gunicorn"))], environ)
        assert pod.process
        url = f"http://{pod.address}:9696"
        run_local.wait_until_ready(url, {"gateway": pod.process})
        return Service(url, 9696, pod.process)
