"""What things cost: `make bench` prints the tables, as ratios against a peer of the same run."""
