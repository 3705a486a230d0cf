"""Clusters are parked when nobody uses them: since which start nothing else has ended one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("resumable", sa.Integer, nullable=False, server_default="0"))
    # Sessions of before know nothing of parking, and what ended their clusters was not written down.
    op.execute("UPDATE clusters SET resumable = generation + 1 WHERE status IN ('stopped', 'failed')")
