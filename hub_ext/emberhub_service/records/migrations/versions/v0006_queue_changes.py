"""What administrators change of the queues is written down, so that it outlives the service."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "queue_changes",
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("queue", name="pk_queue_changes"),
    )
