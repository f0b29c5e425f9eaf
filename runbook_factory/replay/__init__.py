"""Doing a recorded execution again, and telling whether it would end the same."""
