"""`python -m benchmarks [NAME ...]`: runs these benchmarks, or every one, and prints their tables."""

import signal
import sys
from importlib import import_module

NAMES = (
    "commands",
    "validation",
    "engine",
    "waits",
    "replay",
    "launch_latency",
    "execution_cpu",
    "slot_memory",
    "growth",
)


def main(names: list[str]) -> None:
    """Runs them in the order of `names`."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"there is no benchmark {unknown[0]}: there are {', '.join(NAMES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    try:
        for name in names or NAMES:
            import_module(f"benchmarks.{name}").main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
