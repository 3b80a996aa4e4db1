"""The version of the service and of all its packages; every pyproject.toml reads it from here."""

VERSION = "1.0.0"
