"""`python -m tests.records.save EXECUTION FILE`: saves the record of an execution of this project."""

import argparse
import sys
from pathlib import Path

from runbook_factory import database
from runbook_factory.execution_log import NoSuchExecution, get_execution
from runbook_factory.project import ProjectError, find_project
from tests.records.stored import save


def main() -> None:
    """Reads the command line and writes the file; an execution that is not there is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.records.save", description=__doc__)
    parser.add_argument("execution", metavar="EXECUTION", help="its id, or a name such as `rb show` takes")
    parser.add_argument("file", metavar="FILE", type=Path)
    options = parser.parse_args()
    try:
        engine = database.engine(find_project())
        with database.reachable():
            save(engine, get_execution(engine, options.execution).id, options.file)
    except (ProjectError, database.DatabaseError, NoSuchExecution) as error:
        sys.exit(f"{error.message}: {error.hint}" if error.hint else error.message)
    except OSError as error:
        sys.exit(f"{options.file} cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()
