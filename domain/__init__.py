"""Pure words and rules of the platform: no I/O, no framework."""
