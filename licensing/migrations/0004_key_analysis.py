"""Access keys may be made for analysis; those of a grant that can be used for everything can be used for it too."""

from alembic import op

revision = "licensing_0004"
down_revision = "licensing_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE licensing.access_key DROP CONSTRAINT access_key_scopes_check,
            ADD CONSTRAINT access_key_scopes_check CHECK (
                scopes <> '{}' AND scopes <@ '{rows,download,lookup,export,verify,analysis,report}'::text[]
            ),
            ALTER scopes SET DEFAULT '{rows,download,lookup,export,verify,analysis}';
        UPDATE licensing.access_key SET scopes = scopes || '{analysis}'
            WHERE scopes @> '{rows,download,lookup,export,verify}' AND revoked_at IS NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        UPDATE licensing.access_key SET scopes = array_remove(scopes, 'analysis') WHERE scopes <> '{analysis}';
        UPDATE licensing.access_key SET scopes = '{verify}', revoked_at = coalesce(revoked_at, now())
            WHERE scopes = '{analysis}';
        ALTER TABLE licensing.access_key DROP CONSTRAINT access_key_scopes_check,
            ADD CONSTRAINT access_key_scopes_check CHECK (
                scopes <> '{}' AND scopes <@ '{rows,download,lookup,export,verify,report}'::text[]
            ),
            ALTER scopes SET DEFAULT '{rows,download,lookup,export,verify}';
        """
    )
