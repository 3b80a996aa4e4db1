import pytest
from grpc_health.v1 import health
from serving_client import LocalClient

from model_server.server import make_server


def test_port_of_another_server_is_refused(client: LocalClient) -> None:
    with pytest.raises(SystemExit, match=f"port {client.port} is taken"):
        make_server(client.versions, health.HealthServicer(), client.port)
