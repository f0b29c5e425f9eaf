"""`python -m benchmarks`: runs every benchmark and prints its table."""

from benchmarks import commands, engine, replay, validation, waits

if __name__ == "__main__":
    commands.main()
    validation.main()
    engine.main()
    waits.main()
    replay.main()
