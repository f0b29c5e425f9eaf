"""`python -m demo`: starts the upstream."""

import argparse
import os
import socket
import sys

from demo.app import DEFAULT_TOKEN, create_app
from demo.server import serve


def main() -> None:
    """Reads the command line and serves; a taken port is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000, help="default 3000; 0 takes a free one")
    options = parser.parse_args()
    try:
        listening = socket.create_server((options.host, options.port))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        sys.exit(f"the demo cannot listen on {options.host}:{options.port}: {reason}")
    token = os.environ.get("DEMO_API_TOKEN") or DEFAULT_TOKEN
    serve(create_app(token=token), listening=listening)


if __name__ == "__main__":
    main()
