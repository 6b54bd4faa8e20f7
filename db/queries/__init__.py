"""Read-only queries, one module a reader."""
