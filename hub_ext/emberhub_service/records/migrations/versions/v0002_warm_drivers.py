"""Clusters can take over drivers that were started before anybody asked: the driver gets a name of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("driver", sa.String(80), nullable=False, server_default=""))
    op.execute("UPDATE clusters SET driver = id")
