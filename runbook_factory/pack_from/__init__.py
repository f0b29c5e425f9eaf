"""A recorded execution made into an acceptance scenario: a fixture, and what is expected of a run on it."""
