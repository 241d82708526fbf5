"""The tables, as numbered steps from an empty schema to today's layout.

Times are microseconds since 1970, UTC; `day` is the number of the UTC day since 1970 on which a message was
accepted or an answer received. What is bulky (`payload`, `arrival_body`, `journal`) is partitioned by it; what
has to be unique over all days (ids, digests, keys) is small and is not. Every row that belongs to one owner
says so, for a database that is distributed by owner. There are no foreign keys: they would hinder both, and
rows that belong together are written in one transaction (docs/adr/0011).
"""

from typing import Final

from spool.imports import ACTIVE, MADE, STANDING, in_state

BY_DAY: Final = ("payload", "arrival_body", "journal")
"""Tables with a partition for each day."""

STEPS: Final[tuple[str, ...]] = (
    """
    CREATE SEQUENCE message_number;
    CREATE SEQUENCE entry_number;
    CREATE SEQUENCE declaration_number;
    CREATE SEQUENCE arrival_number;
    CREATE SEQUENCE orphan_number;
    CREATE SEQUENCE journal_number;

    CREATE TABLE message (
        id          bigint PRIMARY KEY,
        day         integer NOT NULL,
        uid         text NOT NULL CONSTRAINT message_uid UNIQUE,
        owner       text NOT NULL,
        kind        text NOT NULL,
        sha256      bytea NOT NULL,
        request_key text NOT NULL,
        facts       bytea NOT NULL,
        accepted_at bigint NOT NULL,
        CONSTRAINT message_sha256 UNIQUE (owner, sha256)
    );
    CREATE INDEX message_day ON message (day);
    CREATE UNIQUE INDEX message_request ON message (owner, request_key) WHERE request_key <> '';
    CREATE TABLE payload (
        day integer NOT NULL, message bigint NOT NULL, owner text NOT NULL, body bytea NOT NULL,
        PRIMARY KEY (day, message)
    ) PARTITION BY RANGE (day);

    CREATE TABLE entry (
        id          bigint PRIMARY KEY,
        message     bigint NOT NULL,
        uid         text NOT NULL,              -- that of the message, like owner
        owner       text NOT NULL,
        destination text NOT NULL,
        cop_msg_id  text NOT NULL,
        part        text NOT NULL,
        facts       bytea NOT NULL,
        priority    integer NOT NULL,
        state       text NOT NULL,
        attempts    integer NOT NULL DEFAULT 0,
        due_at      bigint NOT NULL,
        blockers    integer NOT NULL DEFAULT 0,  -- rows of `wait` that name this entry
        claim       bigint NOT NULL DEFAULT 0,
        claimant    text NOT NULL DEFAULT '',
        lease_until bigint NOT NULL DEFAULT 0,
        error       text NOT NULL DEFAULT '',
        sent_at     bigint,
        sent_sha256 bytea NOT NULL DEFAULT '',
        CONSTRAINT entry_way UNIQUE (cop_msg_id, destination, part)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX entry_message ON entry (message);
    CREATE INDEX entry_due ON entry (destination, owner, priority, due_at, id)
        WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_next ON entry (destination, due_at) WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_leased ON entry (lease_until) WHERE state = 'sending';
    CREATE INDEX entry_open ON entry (destination, state, message)
        WHERE state IN ('ready', 'sending', 'held', 'dead');
    CREATE TABLE wait (
        blocker bigint NOT NULL, entry bigint NOT NULL, owner text NOT NULL, PRIMARY KEY (blocker, entry)
    );
    CREATE INDEX wait_entry ON wait (entry);

    CREATE TABLE declaration (
        id       bigint PRIMARY KEY,
        identity text NOT NULL,
        owner    text NOT NULL,
        facts    bytea NOT NULL,
        CONSTRAINT declaration_identity UNIQUE (identity, owner)
    );
    CREATE TABLE version (
        declaration bigint NOT NULL, version text NOT NULL, message bigint NOT NULL, owner text NOT NULL,
        PRIMARY KEY (declaration, version, message)
    );
    CREATE INDEX version_message ON version (message);
    CREATE TABLE handle (
        text text NOT NULL, declaration bigint NOT NULL, owner text NOT NULL, PRIMARY KEY (text, declaration)
    );
    CREATE INDEX handle_declaration ON handle (declaration);

    CREATE TABLE arrival (
        id          bigint PRIMARY KEY,
        day         integer NOT NULL,
        feed        text NOT NULL,
        name        text NOT NULL,
        sha256      bytea NOT NULL CONSTRAINT arrival_sha256 UNIQUE,
        received_at bigint NOT NULL,
        kind        text NOT NULL DEFAULT '',
        cop_msg_id  text NOT NULL DEFAULT '',
        filed       boolean NOT NULL DEFAULT false
    );
    CREATE INDEX arrival_day ON arrival (day);
    CREATE INDEX arrival_unfiled ON arrival (id) WHERE NOT filed;
    CREATE INDEX arrival_cop_msg_id ON arrival (cop_msg_id) WHERE cop_msg_id <> '';
    CREATE TABLE arrival_body (
        day integer NOT NULL, arrival bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (day, arrival)
    ) PARTITION BY RANGE (day);
    CREATE TABLE timeline (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        declaration bigint NOT NULL,
        owner       text NOT NULL,
        at          text NOT NULL,
        kind        text NOT NULL,
        status      text NOT NULL,
        facts       bytea NOT NULL,
        digest      text NOT NULL,
        body_index  integer NOT NULL,
        arrival     bigint NOT NULL,
        notice      bigint NOT NULL,            -- by which its owner hears of it
        CONSTRAINT timeline_answer UNIQUE (declaration, digest)
    );
    CREATE INDEX timeline_arrival ON timeline (arrival);
    CREATE INDEX timeline_notice ON timeline (owner, notice);
    CREATE TABLE orphan (
        id         bigint PRIMARY KEY,
        arrival    bigint NOT NULL,
        body_index integer NOT NULL,
        reason     text NOT NULL,
        facts      bytea NOT NULL,
        resolved   boolean NOT NULL DEFAULT false
    );
    CREATE INDEX orphan_open ON orphan (id) WHERE NOT resolved;
    CREATE INDEX orphan_arrival ON orphan (arrival);
    CREATE TABLE orphan_lookup (text text NOT NULL, orphan bigint NOT NULL, PRIMARY KEY (text, orphan));
    CREATE INDEX orphan_lookup_orphan ON orphan_lookup (orphan);
    CREATE TABLE notice (
        owner text NOT NULL, cursor bigint NOT NULL, arrival bigint NOT NULL, PRIMARY KEY (owner, cursor)
    );
    CREATE TABLE reader (
        owner        text PRIMARY KEY,
        newest       bigint NOT NULL,           -- the last cursor given out
        acknowledged bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);

    CREATE TABLE journal (
        day    integer NOT NULL,
        id     bigint NOT NULL DEFAULT nextval('journal_number'),
        at     bigint NOT NULL,
        event  text NOT NULL,
        uid    text NOT NULL,
        detail text NOT NULL,
        PRIMARY KEY (day, id)
    ) PARTITION BY RANGE (day);
    CREATE INDEX journal_uid ON journal (uid) WHERE uid <> '';
    """,
    """
    CREATE TABLE addressed (                    -- whom an arrival as a whole is for
        arrival bigint NOT NULL, owner text NOT NULL, PRIMARY KEY (arrival, owner)
    );
    """,
    """
    ALTER TABLE entry
        ADD COLUMN claimed_at bigint NOT NULL DEFAULT 0,
        ADD COLUMN abandoned  integer NOT NULL DEFAULT 0,  -- claims in a row that ended without a word
        ADD COLUMN bounce     text NOT NULL DEFAULT '',    -- what an answer said before the settlement
        ADD COLUMN bounce_due bigint;
    ALTER TABLE arrival ADD COLUMN asks boolean NOT NULL DEFAULT false;  -- for another attempt
    """,
    """
    -- the owner, and what it needs: spool.fairness, which counts on the order of bytes
    ALTER TABLE entry ADD COLUMN turn text COLLATE "C" NOT NULL DEFAULT '';
    UPDATE entry SET turn = owner;
    DROP INDEX entry_due;
    CREATE INDEX entry_due ON entry (destination, turn, priority, due_at, id)
        WHERE state = 'ready' AND blockers = 0;
    """,
    """
    CREATE TABLE tile (                         -- of the Merkle log over the journal (docs/adr/0018)
        level integer NOT NULL, number bigint NOT NULL, hashes bytea NOT NULL, PRIMARY KEY (level, number)
    );
    ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- hashes do not compress
    CREATE TABLE leaves (                       -- the lines that one sealing took
        highest bigint PRIMARY KEY,             -- number of the last of them
        first   bigint NOT NULL,                -- index of the first of them in the log
        numbers bytea NOT NULL                  -- packed
    );
    CREATE TABLE checkpoint (size bigint PRIMARY KEY, at bigint NOT NULL, note text NOT NULL);
    CREATE TABLE journal_rest (                 -- lines that outlive the partition of their day
        id bigint PRIMARY KEY, at bigint NOT NULL, event text NOT NULL, uid text NOT NULL, detail text NOT NULL
    );
    CREATE INDEX journal_rest_uid ON journal_rest (uid) WHERE uid <> '';
    """,
    """
    CREATE TABLE mark (name text PRIMARY KEY, reached bigint NOT NULL);  -- how far readers of a stream have got
    """,
    """
    CREATE INDEX entry_sent ON entry (sent_at, id) WHERE sent_at IS NOT NULL;
    CREATE TABLE walk (name text PRIMARY KEY, at text NOT NULL);  -- how far a walk has come
    CREATE TABLE overdue (                      -- answers that are overdue
        message bigint NOT NULL, declaration bigint NOT NULL, layer text NOT NULL, destination text NOT NULL,
        sent_at bigint NOT NULL, PRIMARY KEY (message, declaration, layer)
    );
    """,
    """
    ALTER TABLE entry ADD COLUMN sender text NOT NULL DEFAULT '';  -- whose the cop_msg_id is; empty: not told
    ALTER TABLE entry DROP CONSTRAINT entry_way;
    ALTER TABLE entry ADD CONSTRAINT entry_way UNIQUE (cop_msg_id, sender, destination, part);
    """,
    """
    CREATE TABLE arrival_feed (                 -- who else brought the same bytes
        arrival bigint NOT NULL, feed text NOT NULL, PRIMARY KEY (arrival, feed)
    );
    CREATE TABLE mail (                         -- notices of arrivals that are for their owner as a whole
        owner text NOT NULL, cursor bigint NOT NULL, size bigint NOT NULL, PRIMARY KEY (owner, cursor)
    );
    """,
    """
    CREATE TABLE earlier_facts (                -- of versions of a declaration before its newest (docs/adr/0029)
        declaration bigint NOT NULL, owner text NOT NULL, facts bytea NOT NULL,
        digest bytea NOT NULL GENERATED ALWAYS AS (sha256(facts)) STORED,  -- facts may be too long for an index
        PRIMARY KEY (declaration, digest)
    );
    """,
    """
    ALTER TABLE entry ADD COLUMN first_sent_at bigint;  -- of one that came back after it was sent; never cleared
    UPDATE entry e SET first_sent_at = o.at FROM (
        SELECT uid, min(at) AS at FROM (
            SELECT uid, at FROM journal WHERE uid <> '' AND event IN ('entry.sent', 'entry.bounced')
            UNION ALL
            SELECT uid, at FROM journal_rest WHERE uid <> '' AND event IN ('entry.sent', 'entry.bounced')
        ) AS told GROUP BY uid
    ) AS o WHERE o.uid = e.uid AND e.state <> 'sent' AND e.claim > 0;
    """,
    """
    CREATE INDEX entry_blocked ON entry (destination, due_at) WHERE state = 'ready' AND blockers > 0;
    """,
    """
    ALTER TABLE mark ADD COLUMN place bigint NOT NULL DEFAULT 0;  -- within `reached`, of a scan of what was sent
    INSERT INTO mark SELECT 'scan ' || name, split_part(at, ' ', 1)::bigint, split_part(at, ' ', 2)::bigint FROM walk;
    DROP TABLE walk;
    """,
    """
    CREATE TABLE tally (                        -- counts that scans add up; origin: where, empty: here
        name text NOT NULL, subject text NOT NULL, origin text NOT NULL, key text NOT NULL, n bigint NOT NULL,
        first_at bigint NOT NULL, last_at bigint NOT NULL, PRIMARY KEY (name, subject, origin, key)
    );
    """,
    """
    CREATE TABLE register (                     -- what owners keep here for their messages to be compared with
        owner text NOT NULL, name text NOT NULL,
        version bigint NOT NULL,        -- counts up with each change, also when it is taken back
        at bigint NOT NULL,
        form text NOT NULL,                 -- media type of body; empty: taken back
        facts bytea NOT NULL, body bytea NOT NULL,
        PRIMARY KEY (owner, name)
    );
    """,
    """
    CREATE TABLE parcel (                       -- by what the documents of one parcel find each other (docs/adr/0047)
        declaration bigint NOT NULL,
        message     bigint NOT NULL,            -- with the newest version under these numbers
        owner       text NOT NULL,
        order_no    text NOT NULL,
        waybill_no  text NOT NULL,
        facts       bytea NOT NULL,
        reported    text NOT NULL DEFAULT '',   -- what a scan has told of that version
        PRIMARY KEY (declaration, order_no, waybill_no)
    );
    CREATE INDEX parcel_order ON parcel (order_no, owner, message) WHERE order_no <> '';
    CREATE INDEX parcel_waybill ON parcel (waybill_no, owner, message) WHERE waybill_no <> '';
    CREATE TABLE allowance (                    -- what each declaration counts for a subject in a period
        declaration bigint PRIMARY KEY, owner text NOT NULL, subject text NOT NULL, period text NOT NULL,
        amount bigint NOT NULL
    );
    CREATE INDEX allowance_subject ON allowance (subject, period);
    """,
    f"""
    CREATE TABLE import_job (                   -- sources of many messages, and how far each is made (docs/adr/0054)
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        uid         text NOT NULL CONSTRAINT import_uid UNIQUE,
        owner       text NOT NULL,
        state       text NOT NULL,              -- spool.imports.JobState
        request     text NOT NULL,              -- source and parameters; empty while the source is coming
        same_values text NOT NULL DEFAULT '',   -- values and parameters; empty: not known yet
        sha256      bytea NOT NULL,
        size_bytes  bigint NOT NULL,
        facts       bytea NOT NULL,
        findings    bytea NOT NULL,
        place       text NOT NULL,              -- how far it is made; opaque
        created_at  bigint NOT NULL,
        updated_at  bigint NOT NULL,
        due_at      bigint NOT NULL,            -- not to be claimed before
        served_at   bigint NOT NULL,            -- last claim: owners take turns
        claim       bigint NOT NULL DEFAULT 0,
        claimant    text NOT NULL DEFAULT '',
        lease_until bigint NOT NULL DEFAULT 0,
        claims      bigint NOT NULL DEFAULT 0,  -- in a row without a step
        messages    bigint NOT NULL DEFAULT 0,
        bodies      bigint NOT NULL DEFAULT 0,
        refused     bigint NOT NULL DEFAULT 0,
        first       text NOT NULL DEFAULT ''    -- of a duplicate: uid of the earlier one
    );
    CREATE INDEX import_owner ON import_job (owner, served_at);
    CREATE INDEX import_updated ON import_job (updated_at);
    CREATE INDEX import_active ON import_job (id) WHERE {in_state(ACTIVE)};
    CREATE UNIQUE INDEX import_request ON import_job (owner, request) WHERE request <> '' AND {in_state(STANDING)};
    CREATE UNIQUE INDEX import_values ON import_job (owner, same_values)
        WHERE same_values <> '' AND {in_state(MADE)};
    CREATE TABLE import_source (
        job bigint NOT NULL, number bigint NOT NULL, owner text NOT NULL, body bytea NOT NULL, PRIMARY KEY (job, number)
    );
    ALTER TABLE import_source ALTER COLUMN body SET STORAGE EXTERNAL;  -- workbooks do not compress
    CREATE TABLE import_part (                  -- what of a source is in a message
        job bigint NOT NULL, number bigint NOT NULL, owner text NOT NULL, uid text NOT NULL,
        bodies bigint NOT NULL, facts bytea NOT NULL, PRIMARY KEY (job, number)
    );
    CREATE TABLE import_refusal (               -- what of a source is in none
        job bigint NOT NULL, number bigint NOT NULL, owner text NOT NULL, facts bytea NOT NULL, PRIMARY KEY (job, number)
    );
    """,
    "ALTER TABLE payload ADD COLUMN source bytea",  # what the body was made from; NULL: as submitted (docs/adr/0055)
)
