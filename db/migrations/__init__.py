"""Frozen descriptions of how the database came to be; they never import db.tables or domain."""
