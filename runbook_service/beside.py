"""`python -m runbook_service.beside PARENT MODULE ...`: a program that ends when the service does."""

import runpy
import signal
import sys

from runbook_service.process import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[1]), by=signal.SIGTERM)
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
