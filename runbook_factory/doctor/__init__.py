"""What is installed, reachable and missing: one file per kind of thing looked at."""
