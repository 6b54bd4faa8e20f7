"""The stories that `make demo` plays, one module a path, all through the REST API."""
