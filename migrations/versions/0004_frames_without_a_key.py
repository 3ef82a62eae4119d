"""A frame's run is held by its chunk, not by a foreign key that is checked for every row.

A chunk's frames are written in the transaction that ends it, which holds the chunk's row, and with it its run. The key
was checked again for each frame: it took more than half of COPY's time, and had every worker share a lock on the run's
row. Frames still go with their run.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Named so that it fires after the constraints' own triggers (`RI_…`; Postgres goes by the alphabet): by then the run's
# chunks are gone, whoever was just ending one has ended it, and its frames are seen. Like a cascade it runs with the
# rights of the tables' owner, whoever deletes.
FRAMES_GO_WITH_THEIR_RUN = """
CREATE FUNCTION delete_frames_of_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM frame WHERE run_id = OLD.id;
    RETURN NULL;
END $$;

CREATE TRIGGER run_frames AFTER DELETE ON run FOR EACH ROW EXECUTE FUNCTION delete_frames_of_run();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # In the order in which workers take them, and all before the first is changed: two that wait for each other would
    # cost a chunk's work.
    op.execute("LOCK TABLE chunk, frame, run, model, worker IN ACCESS EXCLUSIVE MODE")
    op.execute("ALTER TABLE frame DROP CONSTRAINT frame_run_id_fkey")
    op.execute(FRAMES_GO_WITH_THEIR_RUN)
