"""The running service, and a yard for workers, for all tests here."""

from tests.served import running, service
from tests.working import yard

__all__ = ["running", "service", "yard"]
