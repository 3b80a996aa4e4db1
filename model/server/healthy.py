"""Exit with 0 when the model server reports that it is serving: python healthy.py [ADDRESS]"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8500"
with grpc.insecure_channel(address) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        response = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.RpcError as error:
        sys.exit(str(error.code()))
sys.exit(response.status != health_pb2.HealthCheckResponse.SERVING)
