"""The tables, as numbered steps from an empty file to today's layout.

Numbers are never given twice (AUTOINCREMENT), also not after a purge: who holds the number of something
that is gone finds nothing, never something else.
"""

from typing import Final

from spool.imports import ACTIVE, MADE, STANDING, in_state


def unfinished(of: str = "") -> str:
    """Return the condition of the index `entry_open` word for word, or SQLite does not see that it may use it.

    `of`: the alias of `entry`, with its dot. Not `state IN (…)`: SQLite makes a table of that list twice for each
    row of an UPDATE, which takes three times as long as all the rest of it.
    """
    return "(" + " OR ".join(f"{of}state = '{state}'" for state in ("ready", "sending", "held", "dead")) + ")"


STEPS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE message (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        uid         TEXT NOT NULL UNIQUE,
        owner       TEXT NOT NULL,
        kind        TEXT NOT NULL,
        sha256      BLOB NOT NULL,
        request_key TEXT NOT NULL,
        facts       BLOB NOT NULL,
        accepted_at INTEGER NOT NULL,           -- microseconds since 1970, UTC, like every time here
        UNIQUE (owner, sha256)
    );
    CREATE UNIQUE INDEX message_request ON message (owner, request_key) WHERE request_key <> '';
    CREATE TABLE payload (message INTEGER PRIMARY KEY REFERENCES message, body BLOB NOT NULL);

    CREATE TABLE entry (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        message     INTEGER NOT NULL REFERENCES message,
        owner       TEXT NOT NULL,              -- that of the message, for the fair claim
        destination TEXT NOT NULL,
        cop_msg_id  TEXT NOT NULL,
        part        TEXT NOT NULL,
        facts       BLOB NOT NULL,
        priority    INTEGER NOT NULL,
        state       TEXT NOT NULL,
        attempts    INTEGER NOT NULL DEFAULT 0,
        due_at      INTEGER NOT NULL,
        blockers    INTEGER NOT NULL DEFAULT 0,  -- rows of `wait` that name this entry
        claim       INTEGER NOT NULL DEFAULT 0,
        claimant    TEXT NOT NULL DEFAULT '',
        lease_until INTEGER NOT NULL DEFAULT 0,
        error       TEXT NOT NULL DEFAULT '',
        sent_at     INTEGER,
        sent_sha256 BLOB NOT NULL DEFAULT x'',
        UNIQUE (cop_msg_id, destination, part)
    );
    CREATE INDEX entry_message ON entry (message);
    CREATE INDEX entry_due ON entry (destination, owner, priority, due_at, id)
        WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_next ON entry (destination, due_at) WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_leased ON entry (lease_until) WHERE state = 'sending';
    CREATE INDEX entry_open ON entry (destination, state, message)
        WHERE state IN ('ready', 'sending', 'held', 'dead');
    CREATE TABLE wait (
        blocker INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (blocker, entry)
    ) WITHOUT ROWID;
    CREATE INDEX wait_entry ON wait (entry);

    CREATE TABLE declaration (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        identity TEXT NOT NULL,
        owner    TEXT NOT NULL,
        facts    BLOB NOT NULL,
        UNIQUE (identity, owner)
    );
    CREATE TABLE version (
        declaration INTEGER NOT NULL, version TEXT NOT NULL, message INTEGER NOT NULL,
        PRIMARY KEY (declaration, version, message)
    ) WITHOUT ROWID;
    CREATE INDEX version_message ON version (message);
    CREATE TABLE handle (
        text TEXT NOT NULL, declaration INTEGER NOT NULL, PRIMARY KEY (text, declaration)
    ) WITHOUT ROWID;
    CREATE INDEX handle_declaration ON handle (declaration);

    CREATE TABLE arrival (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        feed        TEXT NOT NULL,
        name        TEXT NOT NULL,
        sha256      BLOB NOT NULL UNIQUE,
        body        BLOB NOT NULL,
        received_at INTEGER NOT NULL,
        kind        TEXT NOT NULL DEFAULT '',
        cop_msg_id  TEXT NOT NULL DEFAULT '',
        filed       INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX arrival_unfiled ON arrival (id) WHERE filed = 0;
    CREATE INDEX arrival_cop_msg_id ON arrival (cop_msg_id) WHERE cop_msg_id <> '';
    CREATE TABLE timeline (
        id          INTEGER PRIMARY KEY,
        declaration INTEGER NOT NULL REFERENCES declaration,
        at          TEXT NOT NULL,
        kind        TEXT NOT NULL,
        status      TEXT NOT NULL,
        facts       BLOB NOT NULL,
        digest      TEXT NOT NULL,
        body_index  INTEGER NOT NULL,
        arrival     INTEGER NOT NULL REFERENCES arrival,
        notice      INTEGER NOT NULL,           -- by which its owner hears of it
        UNIQUE (declaration, digest)
    );
    CREATE INDEX timeline_arrival ON timeline (arrival);
    CREATE INDEX timeline_notice ON timeline (notice);
    CREATE TABLE orphan (
        id         INTEGER PRIMARY KEY,
        arrival    INTEGER NOT NULL REFERENCES arrival,
        body_index INTEGER NOT NULL,
        reason     TEXT NOT NULL,
        facts      BLOB NOT NULL,
        resolved   INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX orphan_open ON orphan (id) WHERE resolved = 0;
    CREATE INDEX orphan_arrival ON orphan (arrival);
    CREATE TABLE orphan_lookup (
        text TEXT NOT NULL, orphan INTEGER NOT NULL, PRIMARY KEY (text, orphan)
    ) WITHOUT ROWID;
    CREATE TABLE notice (
        cursor  INTEGER PRIMARY KEY AUTOINCREMENT,
        owner   TEXT NOT NULL,
        arrival INTEGER NOT NULL REFERENCES arrival
    );
    CREATE INDEX notice_owner ON notice (owner, cursor);
    CREATE TABLE acknowledged (owner TEXT PRIMARY KEY, cursor INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE journal (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        at     INTEGER NOT NULL,
        event  TEXT NOT NULL,
        uid    TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX journal_uid ON journal (uid) WHERE uid <> '';
    """,
    """
    CREATE TABLE addressed (                    -- whom an arrival as a whole is for
        arrival INTEGER NOT NULL REFERENCES arrival, owner TEXT NOT NULL, PRIMARY KEY (arrival, owner)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE entry ADD COLUMN claimed_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE entry ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0;  -- claims in a row that ended without a word
    ALTER TABLE entry ADD COLUMN bounce TEXT NOT NULL DEFAULT '';       -- what an answer said before the settlement
    ALTER TABLE entry ADD COLUMN bounce_due INTEGER;
    ALTER TABLE arrival ADD COLUMN asks INTEGER NOT NULL DEFAULT 0;     -- 1: for another attempt
    """,
    """
    ALTER TABLE entry ADD COLUMN turn TEXT NOT NULL DEFAULT '';  -- the owner, and what it needs: spool.fairness
    UPDATE entry SET turn = owner;
    DROP INDEX entry_due;
    CREATE INDEX entry_due ON entry (destination, turn, priority, due_at, id)
        WHERE state = 'ready' AND blockers = 0;
    """,
    """
    CREATE TABLE tile (                         -- of the Merkle log over the journal (docs/adr/0018)
        level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL, UNIQUE (level, number)
    );
    CREATE TABLE leaves (                       -- the lines that one sealing took
        highest INTEGER PRIMARY KEY,            -- number of the last of them
        first   INTEGER NOT NULL,               -- index of the first of them in the log
        numbers BLOB NOT NULL                   -- packed
    );
    CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT NOT NULL);
    """,
    """
    DROP INDEX message_request;                 -- a key that is the digest of the bytes is found by those
    CREATE UNIQUE INDEX message_request ON message (owner, request_key)
        WHERE request_key <> '' AND request_key <> lower(hex(sha256));
    """,
    f"""
    DROP INDEX entry_open;
    CREATE INDEX entry_open ON entry (destination, state, message) WHERE {unfinished()};
    """,
    """
    CREATE TABLE mark (                         -- how far readers of a stream have got
        name TEXT PRIMARY KEY, reached INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE INDEX orphan_lookup_orphan ON orphan_lookup (orphan);
    CREATE INDEX entry_sent ON entry (sent_at) WHERE sent_at IS NOT NULL;
    CREATE TABLE walk (name TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;  -- how far a walk has come
    CREATE TABLE overdue (                      -- answers that are overdue
        message INTEGER NOT NULL, declaration INTEGER NOT NULL, layer TEXT NOT NULL, destination TEXT NOT NULL,
        sent_at INTEGER NOT NULL, PRIMARY KEY (message, declaration, layer)
    ) WITHOUT ROWID;
    """,
    f"""
    CREATE TABLE entry_of_sender (              -- a UNIQUE of a table cannot be changed
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        message     INTEGER NOT NULL REFERENCES message,
        owner       TEXT NOT NULL,              -- that of the message, for the fair claim
        turn        TEXT NOT NULL,              -- the owner, and what it needs: spool.fairness
        destination TEXT NOT NULL,
        cop_msg_id  TEXT NOT NULL,
        sender      TEXT NOT NULL,              -- whose the cop_msg_id is; empty: not told
        part        TEXT NOT NULL,
        facts       BLOB NOT NULL,
        priority    INTEGER NOT NULL,
        state       TEXT NOT NULL,
        attempts    INTEGER NOT NULL DEFAULT 0,
        due_at      INTEGER NOT NULL,
        blockers    INTEGER NOT NULL DEFAULT 0,  -- rows of `wait` that name this entry
        claim       INTEGER NOT NULL DEFAULT 0,
        claimant    TEXT NOT NULL DEFAULT '',
        claimed_at  INTEGER NOT NULL DEFAULT 0,
        lease_until INTEGER NOT NULL DEFAULT 0,
        abandoned   INTEGER NOT NULL DEFAULT 0,  -- claims in a row that ended without a word
        error       TEXT NOT NULL DEFAULT '',
        sent_at     INTEGER,
        sent_sha256 BLOB NOT NULL DEFAULT x'',
        bounce      TEXT NOT NULL DEFAULT '',   -- what an answer said before the settlement
        bounce_due  INTEGER,
        UNIQUE (cop_msg_id, sender, destination, part)
    );
    INSERT INTO entry_of_sender
        SELECT id, message, owner, turn, destination, cop_msg_id, '', part, facts, priority, state, attempts, due_at,
            blockers, claim, claimant, claimed_at, lease_until, abandoned, error, sent_at, sent_sha256, bounce,
            bounce_due
        FROM entry ORDER BY id;
    DELETE FROM sqlite_sequence WHERE name = 'entry_of_sender';
    INSERT INTO sqlite_sequence SELECT 'entry_of_sender', seq FROM sqlite_sequence WHERE name = 'entry';
    DROP TABLE entry;
    ALTER TABLE entry_of_sender RENAME TO entry;
    CREATE INDEX entry_message ON entry (message);
    CREATE INDEX entry_due ON entry (destination, turn, priority, due_at, id) WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_next ON entry (destination, due_at) WHERE state = 'ready' AND blockers = 0;
    CREATE INDEX entry_leased ON entry (lease_until) WHERE state = 'sending';
    CREATE INDEX entry_open ON entry (destination, state, message) WHERE {unfinished()};
    CREATE INDEX entry_sent ON entry (sent_at) WHERE sent_at IS NOT NULL;
    """,
    """
    CREATE TABLE arrival_feed (                 -- who else brought the same bytes
        arrival INTEGER NOT NULL, feed TEXT NOT NULL, PRIMARY KEY (arrival, feed)
    ) WITHOUT ROWID;
    CREATE TABLE mail (                         -- notices of arrivals that are for their owner as a whole
        owner TEXT NOT NULL, cursor INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (owner, cursor)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE earlier_facts (                -- of versions of a declaration before its newest (docs/adr/0029)
        declaration INTEGER NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (declaration, facts)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE entry ADD COLUMN first_sent_at INTEGER;  -- of one that came back after it was sent; never cleared
    UPDATE entry SET first_sent_at = (
        SELECT min(j.at) FROM message m JOIN journal j ON j.uid = m.uid AND j.uid <> ''
        WHERE m.id = entry.message AND j.event IN ('entry.sent', 'entry.bounced')
    ) WHERE state <> 'sent' AND claim > 0;
    """,
    """
    CREATE INDEX entry_blocked ON entry (destination, due_at) WHERE state = 'ready' AND blockers > 0;
    """,
    """
    ALTER TABLE mark ADD COLUMN place INTEGER NOT NULL DEFAULT 0;  -- within `reached`, of a scan of what was sent
    INSERT INTO mark SELECT 'scan ' || name, CAST(substr(at, 1, instr(at, ' ') - 1) AS INTEGER),
        CAST(substr(at, instr(at, ' ') + 1) AS INTEGER) FROM walk;
    DROP TABLE walk;
    """,
    """
    CREATE TABLE tally (                        -- counts that scans add up; origin: where, empty: here
        name TEXT NOT NULL, subject TEXT NOT NULL, origin TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (name, subject, origin, key)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE register (                     -- what owners keep here for their messages to be compared with
        owner TEXT NOT NULL, name TEXT NOT NULL,
        version INTEGER NOT NULL,       -- counts up with each change, also when it is taken back
        at INTEGER NOT NULL,
        form TEXT NOT NULL,                 -- media type of body; empty: taken back
        facts BLOB NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (owner, name)
    );
    """,
    """
    CREATE TABLE parcel (                       -- by what the documents of one parcel find each other (docs/adr/0047)
        declaration INTEGER NOT NULL,
        message     INTEGER NOT NULL,           -- with the newest version under these numbers
        owner       TEXT NOT NULL,
        order_no    TEXT NOT NULL,
        waybill_no  TEXT NOT NULL,
        facts       BLOB NOT NULL,
        reported    TEXT NOT NULL DEFAULT '',   -- what a scan has told of that version
        PRIMARY KEY (declaration, order_no, waybill_no)
    ) WITHOUT ROWID;
    CREATE INDEX parcel_order ON parcel (order_no, owner, message) WHERE order_no <> '';
    CREATE INDEX parcel_waybill ON parcel (waybill_no, owner, message) WHERE waybill_no <> '';
    CREATE TABLE allowance (                    -- what each declaration counts for a subject in a period
        declaration INTEGER PRIMARY KEY, owner TEXT NOT NULL, subject TEXT NOT NULL, period TEXT NOT NULL,
        amount INTEGER NOT NULL
    );
    CREATE INDEX allowance_subject ON allowance (subject, period);
    """,
    f"""
    CREATE TABLE import_job (                   -- sources of many messages, and how far each is made (docs/adr/0054)
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        uid         TEXT NOT NULL UNIQUE,
        owner       TEXT NOT NULL,
        state       TEXT NOT NULL,              -- spool.imports.JobState
        request     TEXT NOT NULL,              -- source and parameters; empty while the source is coming
        same_values TEXT NOT NULL DEFAULT '',   -- values and parameters; empty: not known yet
        sha256      BLOB NOT NULL,
        size_bytes  INTEGER NOT NULL,
        facts       BLOB NOT NULL,
        findings    BLOB NOT NULL,
        place       TEXT NOT NULL,              -- how far it is made; opaque
        created_at  INTEGER NOT NULL,
        updated_at  INTEGER NOT NULL,
        due_at      INTEGER NOT NULL,           -- not to be claimed before
        served_at   INTEGER NOT NULL,           -- last claim: owners take turns
        claim       INTEGER NOT NULL DEFAULT 0,
        claimant    TEXT NOT NULL DEFAULT '',
        lease_until INTEGER NOT NULL DEFAULT 0,
        claims      INTEGER NOT NULL DEFAULT 0, -- in a row without a step
        messages    INTEGER NOT NULL DEFAULT 0,
        bodies      INTEGER NOT NULL DEFAULT 0,
        refused     INTEGER NOT NULL DEFAULT 0,
        first       TEXT NOT NULL DEFAULT ''    -- of a duplicate: uid of the earlier one
    );
    CREATE INDEX import_owner ON import_job (owner, served_at);
    CREATE INDEX import_updated ON import_job (updated_at);
    CREATE INDEX import_active ON import_job (id) WHERE {in_state(ACTIVE)};
    CREATE UNIQUE INDEX import_request ON import_job (owner, request) WHERE request <> '' AND {in_state(STANDING)};
    CREATE UNIQUE INDEX import_values ON import_job (owner, same_values)
        WHERE same_values <> '' AND {in_state(MADE)};
    CREATE TABLE import_source (
        job INTEGER NOT NULL, number INTEGER NOT NULL, owner TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job, number)
    );
    CREATE TABLE import_part (                  -- what of a source is in a message
        job INTEGER NOT NULL, number INTEGER NOT NULL, owner TEXT NOT NULL, uid TEXT NOT NULL, bodies INTEGER NOT NULL,
        facts BLOB NOT NULL, PRIMARY KEY (job, number)
    ) WITHOUT ROWID;
    CREATE TABLE import_refusal (               -- what of a source is in none
        job INTEGER NOT NULL, number INTEGER NOT NULL, owner TEXT NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (job, number)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE payload ADD COLUMN source BLOB",  # what the body was made from; NULL: as submitted (docs/adr/0055)
)
