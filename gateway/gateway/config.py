"""The settings: what may differ between deployments, read once from the environment."""

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import limits

ORIGIN = re.compile(r"https?://[^/?#@\s]+")
PROTOCOLS = ("tf-serving", "open-inference")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _strings(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in _strings(text))


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in _strings(text))


def _address_and_port(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)


def read_bool(text: str) -> bool:
    """Read 1, true, yes or on, and 0, false, no or off.

    Raises:
        ValueError: it is none of them.
    """
    values = {"1": True, "true": True, "yes": True, "on": True}
    values |= {"0": False, "false": False, "no": False, "off": False}
    if text.lower() not in values:
        raise ValueError(f"{text!r} is neither true nor false")
    return values[text.lower()]


def _rate(text: str) -> str:
    if text:
        limits.parse(text)  # raises ValueError
    return text


def _refuse_unknown(environ: Mapping[str, str], known: list[str]) -> None:
    # Kubernetes sets such variables for each Service, and one can be called gateway.
    services = [
        name.removesuffix("_SERVICE_HOST") for name in environ if name.endswith("_SERVICE_HOST")
    ]
    not_ours = tuple(f"{service}_{kind}" for service in services for kind in ("SERVICE_", "PORT"))
    for name in environ:
        if name.startswith("GATEWAY_") and name not in known and not name.startswith(not_ours):
            (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
            raise ValueError(f"{name}: there is no such setting; the nearest is {nearest}")


def _origins(text: str) -> tuple[str, ...]:
    origins = _strings(text)
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin like https://example.com")
    return origins


def _protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise ValueError(f"{text!r} is none of {', '.join(PROTOCOLS)}")
    return text


def _setting(
    default: Any, read: Callable[[str], Any], variable: str = "", least: float = math.ulp(0)
) -> Any:
    return field(default=default, metadata={"read": read, "variable": variable, "least": least})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, with its default. Times are seconds, sizes bytes.

    `GATEWAY_<FIELD>` in the environment overrides a field; the model server's
    address is `TF_SERVING_HOST`, its protocol `MODEL_PROTOCOL`.

    Raises:
        ValueError: a value is invalid, or `GATEWAY_...` is no setting; the text names the variable.
    """

    tf_serving_host: str = _setting("localhost:8500", str, "TF_SERVING_HOST")
    model_protocol: str = _setting("tf-serving", _protocol, "MODEL_PROTOCOL")
    model_name: str = _setting("sport-classification-model", str)
    labels: tuple[str, ...] = _setting((), _strings)  # for a model that has none of its own
    allowed_sources: tuple[str, ...] = _setting(
        (), _strings
    )  # host patterns; none: any public host
    allow_private_sources: bool = _setting(False, read_bool)  # development only
    allowed_ports: tuple[int, ...] = _setting((80, 443), _integers)
    refused_networks: tuple[Network, ...] = _setting(
        (), _networks
    )  # refused although public, such as one's own
    nameserver: tuple[str, int] | None = _setting(
        None, _address_and_port
    )  # none: /etc/resolv.conf's
    max_per_source: int = _setting(8, int)  # downloads at once from one address, in each worker
    fetch_timeout: float = _setting(10.0, float)  # a whole download, redirects included
    request_timeout: float = _setting(20.0, float)  # a whole request; the model gets what is left
    max_body_bytes: int = _setting(25_000_000, int)
    max_image_bytes: int = _setting(20_000_000, int)
    max_image_pixels: int = _setting(50_000_000, int)
    decoders: int = _setting(2, int)  # processes that decode images quickly, of each worker
    decode_seconds: float = _setting(1.8, float)  # processor time for decoding an image
    max_in_flight: int = _setting(16, int)  # requests, and images in memory, in each worker
    cache_entries: int = _setting(0, int, least=0)  # predictions kept in each worker; 0: none
    cache_seconds: float = _setting(300.0, float)  # how long each is kept
    api_keys: tuple[str, ...] = _setting((), _strings)  # none: no key is required
    rate_limit: str = _setting("", _rate)  # images of one client, like 60/minute; empty: unlimited
    rate_limit_storage: str = _setting("memory://", str)  # where images are counted
    allowed_origins: tuple[str, ...] = _setting((), _origins)  # of pages that may ask; *: any
    feedback_folder: str = _setting("", str)  # where feedback is stored; empty: none is taken
    feedback_max_bytes: int = _setting(1_000_000_000, int)  # of all that is stored there
    trusted_proxies: int = _setting(
        0, int, least=0
    )  # in front, each of which adds to X-Forwarded-For

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        _refuse_unknown(environ, list(cls.variables().values()))
        values = {}
        for name, (variable, read) in cls._variables().items():
            if variable in environ:
                try:
                    values[name] = read(environ[variable])
                except ValueError as error:
                    raise ValueError(f"{variable}: {error}") from None
        return cls(**values)

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Each field's environment variable."""
        return {name: variable for name, (variable, _) in cls._variables().items()}

    @classmethod
    def _variables(cls) -> dict[str, tuple[str, Callable[[str], Any]]]:
        return {
            f.name: (f.metadata["variable"] or f"GATEWAY_{f.name.upper()}", f.metadata["read"])
            for f in fields(cls)
        }

    def __post_init__(self) -> None:
        variables = self.variables()
        for f in fields(self):
            variable, value = variables[f.name], getattr(self, f.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                if not (math.isfinite(value) and value >= f.metadata["least"]):
                    raise ValueError(f"{variable}: {value} is not a number above 0")
            elif value == "" and f.default != "":
                raise ValueError(f"{variable}: must not be empty")
        if not all(0 < port < 65536 for port in self.allowed_ports) or not self.allowed_ports:
            raise ValueError("GATEWAY_ALLOWED_PORTS: ports go from 1 to 65535")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("GATEWAY_LABELS: a label is listed twice")
        if self.fetch_timeout >= self.request_timeout:
            raise ValueError("GATEWAY_FETCH_TIMEOUT: must be below GATEWAY_REQUEST_TIMEOUT")
