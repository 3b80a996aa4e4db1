import pytest
from grpc_health.v1 import health
from serving_client import LocalClient

from model_server.server import listen, make_server


def test_port_of_another_server_is_refused(client: LocalClient) -> None:
    server = make_server(client.versions, health.HealthServicer(), 1)
    port = int(client.target.split(":")[1])
    with pytest.raises(SystemExit, match=f"port {port} is taken"):
        listen(server, port)
