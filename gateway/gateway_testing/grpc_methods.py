"""The methods of a gRPC server that a test makes up."""

from collections.abc import Callable, Mapping
from typing import Any

import grpc

Method = tuple[
    Callable[[Any, Any], Any], Any
]  # from request and context to a response; its request


class Methods(grpc.GenericRpcHandler):
    """Unary methods by their paths; all others are UNIMPLEMENTED."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if details.method not in self._methods:
            return None
        method, request_type = self._methods[details.method]
        return grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=request_type.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
