import pytest
from machine import NOTES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for text in NOTES:
        terminalreporter.write_line(text)
