"""`python -m runbook_service.workers SLOTS`: the worker that `rb serve` starts."""

import sys

from runbook_factory.project import find_project
from runbook_service.workers.worker import work

if __name__ == "__main__":
    work(find_project(), int(sys.argv[1]), ready=lambda: None)
