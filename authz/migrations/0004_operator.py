"""Data objects say who operates them under an authorisation; those known so far are operated by nobody."""

from alembic import op

revision = "authz_0004"
down_revision = "authz_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE authz.data_object SET document = document || '{\"operator_uscc\": null}'"
        " WHERE NOT document ? 'operator_uscc'"
    )


def downgrade() -> None:
    op.execute("UPDATE authz.data_object SET document = document - 'operator_uscc'")
