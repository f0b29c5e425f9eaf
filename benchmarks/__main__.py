"""`python -m benchmarks`: runs every benchmark and prints its table."""

from benchmarks import commands, engine

if __name__ == "__main__":
    commands.main()
    engine.main()
