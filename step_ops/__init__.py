"""How one step is done: a file per step type, one gate to the world, thin drivers behind it."""
