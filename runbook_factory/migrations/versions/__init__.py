"""The steps by which the schema of the execution record grew."""
