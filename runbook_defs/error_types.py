"""The names of the ways a step can fail, as runbooks and packs use them; `step_ops.errors` has the same."""

ERROR_TYPES = frozenset(
    {
        "cancelled",
        "cassette",
        "config",
        "connection",
        "data",
        "expression",
        "file",
        "graphql",
        "http",
        "internal",
        "policy",
        "schema_validation",
        "screenshot",
        "secret",
        "sql",
        "timeout",
    }
)
