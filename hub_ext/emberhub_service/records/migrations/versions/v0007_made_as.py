"""A warm driver whose pods are made otherwise by now is not handed on; of those from before it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("made_as", sa.String(64), nullable=False, server_default=""))
