"""Run by alembic, with the connection that `emberhub_service.records.store.migrate` hands over."""

from alembic import context

from emberhub_service.records.model import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter tables in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
