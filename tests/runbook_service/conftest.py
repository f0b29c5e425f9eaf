"""The running service, for all tests here."""

from tests.served import running, service

__all__ = ["running", "service"]
