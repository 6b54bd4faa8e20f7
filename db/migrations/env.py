"""What alembic runs: the migrations on the connection that db.migrate opened."""

from alembic import context
from sqlalchemy import Connection

from db.tables import Base

connection = context.config.attributes["connection"]
if not isinstance(connection, Connection):
    raise TypeError("start migrations with `python -m db.migrate`")

context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
