"""PostgreSQL: engine, tables, migrations, inbox, events and read-model queries."""
