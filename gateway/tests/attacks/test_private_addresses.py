"""Hosts that are, or resolve to, addresses that are not public."""

import pytest
from gateway_testing.image_server import ImageServer
from gateway_testing.name_server import NameServer

from attacks.checks import OTHER, PUBLIC, Attack, check_unreachable, problem


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "a.localhost", "[::1]", "0.0.0.0", "[::]", "0"]
)
def test_2_loopback_is_refused(attack: Attack, inside: ImageServer, host: str) -> None:
    check_unreachable(attack(inside.url("/", host)))


@pytest.mark.parametrize(
    "host",
    "10.0.0.1 172.16.0.1 172.31.255.254 192.168.1.1 100.64.0.1 198.18.0.1 [fd12::1]".split(),
)
def test_4_private_networks_are_refused(attack: Attack, host: str) -> None:
    check_unreachable(attack(f"http://{host}/"))


@pytest.mark.parametrize(
    "host",
    "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 [fd00:ec2::254]".split(),
)
def test_5_metadata_services_are_refused(attack: Attack, host: str) -> None:
    check_unreachable(attack(f"http://{host}/latest/meta-data/"))


def test_5_names_of_metadata_services_are_refused(attack: Attack, name_server: NameServer) -> None:
    name_server.names["metadata.google.internal"] = ["169.254.169.254"]
    check_unreachable(attack("http://metadata.google.internal/"))


@pytest.mark.parametrize(
    "host",
    [
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "2606:4700::5efe:10.0.0.1",
    ],
)
def test_6_private_ipv4_in_ipv6_is_refused(
    attack: Attack, name_server: NameServer, host: str
) -> None:
    check_unreachable(attack(f"http://[{host}]/"))
    name_server.names["carrier.example"] = [host]
    check_unreachable(attack("http://carrier.example/"))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"])
def test_7_a_name_of_a_private_address_is_refused(
    attack: Attack, inside: ImageServer, name_server: NameServer, address: str
) -> None:
    name_server.names["127.0.0.1.nip.example"] = [address]
    check_unreachable(attack(inside.url("/", "127.0.0.1.nip.example")))


@pytest.mark.parametrize("private", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("first", [True, False])
def test_8_a_name_of_a_public_and_a_private_address_is_refused(
    attack: Attack, inside: ImageServer, name_server: NameServer, private: str, first: bool
) -> None:
    name_server.names["both.example"] = [private, PUBLIC] if first else [PUBLIC, private]
    check_unreachable(attack(inside.url("/", "both.example")))


def test_9_a_name_that_becomes_private_after_the_check(
    attack: Attack, inside: ImageServer, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names["rebind.example"] = lambda times: [PUBLIC if times == 0 else "127.0.0.1"]
    assert attack(outside.url("/image.jpg", "rebind.example")).json == "cricket"
    assert name_server.queries.count(("rebind.example", "A")) == 1
    assert outside.local_addresses == [PUBLIC]
    check_unreachable(attack(outside.url("/image.jpg", "rebind.example")))


@pytest.mark.parametrize(
    "name", ["tf-serving", "kubernetes.default.svc", "sports-model.sports.svc.cluster.local"]
)
def test_13_names_of_the_cluster_are_refused(
    attack: Attack, inside: ImageServer, name_server: NameServer, name: str
) -> None:
    name_server.names[name] = ["10.96.0.1"]
    check_unreachable(attack(f"http://{name}/"))
    assert {queried for queried, _ in name_server.queries} == {name}  # no search domains


def test_21_an_open_port_a_closed_port_and_an_unknown_name_look_the_same(
    attack: Attack, inside: ImageServer, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names |= {"open.example": ["127.0.0.1"], "closed.example": [OTHER]}
    hosts = ["127.0.0.1", "10.0.0.1", OTHER, "open.example", "closed.example", "missing.example"]
    responses = [attack(outside.url("/", host)) for host in hosts]
    answers = []
    for response in responses:
        answer = dict(problem(response))
        answer.pop("request_id")
        answers.append((response.status_code, answer))
    assert all(answer == answers[0] for answer in answers)
    check_unreachable(responses[0])
