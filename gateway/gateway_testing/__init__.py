"""Servers and images for the tests and benchmarks of the gateway and of what uses it."""
