import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.config import Settings, read_bool


def test_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.tf_serving_host == "localhost:8500"
    assert settings.allowed_ports == (80, 443)
    assert not settings.allow_private_sources


def test_every_setting_is_read_from_its_variable() -> None:
    environ = {
        "TF_SERVING_HOST": "model:9000",
        "MODEL_PROTOCOL": "open-inference",
        "GATEWAY_MODEL_NAME": "other",
        "GATEWAY_LABELS": "a, b,c",
        "GATEWAY_ALLOWED_SOURCES": "*.example.com,example.org",
        "GATEWAY_ALLOW_PRIVATE_SOURCES": "true",
        "GATEWAY_ALLOWED_PORTS": "80,8080",
        "GATEWAY_FETCH_TIMEOUT": "2.5",
        "GATEWAY_REQUEST_TIMEOUT": "7",
        "GATEWAY_MAX_BODY_BYTES": "1000",
        "GATEWAY_MAX_IMAGE_BYTES": "900",
        "GATEWAY_MAX_IMAGE_PIXELS": "800",
        "GATEWAY_DECODERS": "4",
        "GATEWAY_DECODE_SECONDS": "0.9",
        "GATEWAY_MAX_IN_FLIGHT": "3",
        "GATEWAY_REFUSED_NETWORKS": "192.0.2.0/24,2001:db8::/32",
        "GATEWAY_NAMESERVER": "[::1]:5353",
        "GATEWAY_MAX_PER_SOURCE": "2",
        "GATEWAY_CACHE_ENTRIES": "1000",
        "GATEWAY_CACHE_SECONDS": "60",
        "GATEWAY_API_KEYS": "one,two",
        "GATEWAY_RATE_LIMIT": "5/minute",
        "GATEWAY_RATE_LIMIT_STORAGE": "redis://redis:6379",
        "GATEWAY_ALLOWED_ORIGINS": "https://a.example,http://localhost:8000",
        "GATEWAY_FEEDBACK_FOLDER": "/feedback",
        "GATEWAY_FEEDBACK_MAX_BYTES": "5000",
        "GATEWAY_TRUSTED_PROXIES": "1",
    }
    assert set(environ) == set(Settings.variables().values())
    assert Settings.from_env(environ) == Settings(
        tf_serving_host="model:9000",
        model_protocol="open-inference",
        model_name="other",
        labels=("a", "b", "c"),
        allowed_sources=("*.example.com", "example.org"),
        allow_private_sources=True,
        allowed_ports=(80, 8080),
        fetch_timeout=2.5,
        request_timeout=7.0,
        max_body_bytes=1000,
        max_image_bytes=900,
        max_image_pixels=800,
        decoders=4,
        decode_seconds=0.9,
        max_in_flight=3,
        refused_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        nameserver=("::1", 5353),
        max_per_source=2,
        cache_entries=1000,
        cache_seconds=60.0,
        api_keys=("one", "two"),
        rate_limit="5/minute",
        rate_limit_storage="redis://redis:6379",
        allowed_origins=("https://a.example", "http://localhost:8000"),
        feedback_folder="/feedback",
        feedback_max_bytes=5000,
        trusted_proxies=1,
    )


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("GATEWAY_LABLES", "GATEWAY_LABELS"),
        ("GATEWAY_API_KEY", "GATEWAY_API_KEYS"),
        ("GATEWAY_TF_SERVING_HOST", "TF_SERVING_HOST"),
        ("GATEWAY_PORT", "GATEWAY_ALLOWED_PORTS"),
    ],
)
def test_an_unknown_variable_is_refused_and_the_nearest_named(variable: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"^{variable}: .* nearest is {nearest}$"):
        Settings.from_env({variable: "x"})


def test_gunicorn_reports_an_invalid_setting_in_one_line() -> None:
    """In a container nothing has checked the settings before."""
    run = subprocess.run(
        [Path(sys.executable).with_name("gunicorn"), "--check-config"],
        env={**os.environ, "GATEWAY_LABLES": "a,b"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert re.fullmatch(r"GATEWAY_LABLES: .* GATEWAY_LABELS\n", run.stderr)


@pytest.mark.parametrize("service", ["GATEWAY", "GATEWAY_PUBLIC"])
def test_what_kubernetes_sets_for_a_service_is_no_setting(service: str) -> None:
    """The variables of enableServiceLinks for a Service with the port 9696, called http."""
    url = "tcp://10.0.0.1:9696"
    environ = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "9696",
        f"{service}_SERVICE_PORT_HTTP": "9696",
        f"{service}_PORT": url,
        f"{service}_PORT_9696_TCP": url,
        f"{service}_PORT_9696_TCP_PROTO": "tcp",
        f"{service}_PORT_9696_TCP_PORT": "9696",
        f"{service}_PORT_9696_TCP_ADDR": "10.0.0.1",
    }
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GATEWAY_MAX_IN_FLIGHT", "many"),
        ("GATEWAY_MAX_IN_FLIGHT", "0"),
        ("GATEWAY_MAX_IMAGE_BYTES", "-1"),
        ("GATEWAY_FETCH_TIMEOUT", "nan"),
        ("GATEWAY_FETCH_TIMEOUT", "inf"),
        ("GATEWAY_FETCH_TIMEOUT", "30"),
        ("GATEWAY_ALLOW_PRIVATE_SOURCES", "perhaps"),
        ("GATEWAY_ALLOWED_PORTS", "80,http"),
        ("GATEWAY_ALLOWED_PORTS", "70000"),
        ("GATEWAY_ALLOWED_PORTS", ""),
        ("GATEWAY_LABELS", "a,a"),
        ("GATEWAY_MODEL_NAME", ""),
        ("TF_SERVING_HOST", ""),
        ("MODEL_PROTOCOL", "rest"),
        ("GATEWAY_REFUSED_NETWORKS", "10.0.0.1/8"),
        ("GATEWAY_NAMESERVER", "dns.example:53"),
        ("GATEWAY_NAMESERVER", "1.1.1.1"),
        ("GATEWAY_ALLOWED_ORIGINS", "a.example"),
        ("GATEWAY_ALLOWED_ORIGINS", "https://a.example/"),
        ("GATEWAY_ALLOWED_ORIGINS", "null"),
        ("GATEWAY_RATE_LIMIT", "many"),
        ("GATEWAY_TRUSTED_PROXIES", "-1"),
        ("GATEWAY_CACHE_ENTRIES", "-1"),
        ("GATEWAY_CACHE_SECONDS", "0"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable):
        Settings.from_env({variable: value})


def test_the_message_of_a_bad_value_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        Settings.from_env({"GATEWAY_ALLOW_PRIVATE_SOURCES": "perhaps"})


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "True", "YES"])
def test_words_for_true(text: str) -> None:
    assert read_bool(text) is True
    assert Settings.from_env({"GATEWAY_ALLOW_PRIVATE_SOURCES": text}).allow_private_sources


@pytest.mark.parametrize("text", ["0", "false", "no", "off", "False", "OFF"])
def test_words_for_false(text: str) -> None:
    assert read_bool(text) is False
    assert not Settings.from_env({"GATEWAY_ALLOW_PRIVATE_SOURCES": text}).allow_private_sources
