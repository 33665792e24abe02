"""Add what the names of a video's frames begin with. Older versions go on beside it: they leave it empty."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("splits", sa.Column("stem", sa.Text(), nullable=True))
    op.execute("UPDATE ledger SET value = '4' WHERE key = 'version'")
