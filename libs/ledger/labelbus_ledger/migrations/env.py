"""What Alembic runs: migrations on the connection that it was given, in the transaction that is open."""

from alembic import context

from labelbus_ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    version_table="alembic_version_labelbus",
)
with context.begin_transaction():
    context.run_migrations()
