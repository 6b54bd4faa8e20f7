"""The business stories, one path a file. Deterministic; each reads like its state machine."""
