"""The command `sports`, and the client that it uses: say which sport images show."""

from sports.client import Client, Prediction, ServiceError, ServiceUnavailable

__all__ = ["Client", "Prediction", "ServiceError", "ServiceUnavailable"]
