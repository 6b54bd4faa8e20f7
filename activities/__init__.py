"""The side effects a story asks for. Each money step is one database transaction."""
