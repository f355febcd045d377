"""The SQL statements that create and extend the ledger's tables, as a list of migrations.

A published migration is never edited. A new migration only adds tables, columns and indexes. So a
kernel with an older version of this package can still write to the ledger.
"""

# Texts have their own table, so that SQLite need not read them to count a million turns. `error` is
# the first column of `texts`, so that SQLite need not read a long prompt to find it.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE turns (
            turn TEXT PRIMARY KEY,
            at REAL NOT NULL,
            notebook TEXT,
            session TEXT NOT NULL,
            agent TEXT,
            dialect TEXT,
            owner TEXT NOT NULL,
            status TEXT NOT NULL,
            finish_reason TEXT,
            seconds REAL,
            first_token_seconds REAL,
            input_tokens INTEGER,
            output_tokens INTEGER,
            total_tokens INTEGER,
            reported_total INTEGER,
            usage_source TEXT
        )""",
        "CREATE INDEX turns_of_session ON turns (session, notebook)",
        "CREATE TABLE texts (turn TEXT PRIMARY KEY, error TEXT, prompt TEXT, answer TEXT)",
    ),
    ("ALTER TABLE turns ADD COLUMN credits REAL",),
    ("ALTER TABLE turns ADD COLUMN attempts INTEGER",),
    (
        "ALTER TABLE turns ADD COLUMN number INTEGER",
        "ALTER TABLE turns ADD COLUMN slot TEXT",
        "ALTER TABLE turns ADD COLUMN cell TEXT",
        "ALTER TABLE turns ADD COLUMN run TEXT",
        "ALTER TABLE turns ADD COLUMN surface TEXT",
        "ALTER TABLE turns ADD COLUMN after TEXT",
        "ALTER TABLE turns ADD COLUMN said TEXT",
        "ALTER TABLE turns ADD COLUMN conversation TEXT",
        "ALTER TABLE turns ADD COLUMN key TEXT",
        "ALTER TABLE turns ADD COLUMN cached INTEGER",
        "ALTER TABLE texts ADD COLUMN raw TEXT",
        "CREATE INDEX turns_by_number ON turns (session, number)",
        "CREATE INDEX turns_by_key ON turns (key) WHERE key IS NOT NULL",
        """CREATE TABLE marks (
            mark TEXT PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            session TEXT,
            turn TEXT,
            value TEXT
        )""",
        "CREATE INDEX marks_of_session ON marks (session)",
        """CREATE TABLE sessions (
            at REAL NOT NULL,
            session TEXT NOT NULL,
            notebook TEXT,
            name TEXT NOT NULL,
            parent TEXT
        )""",
        "CREATE INDEX sessions_of_notebook ON sessions (notebook, name)",
        "CREATE INDEX sessions_by_id ON sessions (session)",
    ),
    (
        'ALTER TABLE turns ADD COLUMN "user" TEXT',
        "CREATE INDEX turns_by_time ON turns (at)",
        "CREATE INDEX turns_of_notebook ON turns (notebook, at)",
        "CREATE INDEX turns_unended ON turns (owner) WHERE status = 'running'",
        """CREATE TABLE budgets (
            budget TEXT PRIMARY KEY,
            at REAL NOT NULL,
            unit TEXT NOT NULL,
            period TEXT NOT NULL,
            agent TEXT,
            notebook TEXT,
            amount REAL
        )""",
    ),
    ("CREATE INDEX marks_of_turn ON marks (turn)",),
    (
        "ALTER TABLE turns ADD COLUMN host TEXT",
        "ALTER TABLE turns ADD COLUMN connection TEXT",
        "ALTER TABLE turns ADD COLUMN sandbox INTEGER",
        "ALTER TABLE budgets ADD COLUMN sandbox INTEGER",
    ),
    ("CREATE INDEX marks_of_file ON marks (value) WHERE kind = 'file'",),
)

_OWNED = ("turns", "marks", "everyones_sessions")

# Additional statements for PostgreSQL, by the number of the migration that they follow. The server
# fills in the user of each row. Each user sees only their own sessions: on a hub, the notebooks of
# all users have the same path, and nobody may continue another user's conversation. Triggers keep
# every user from writing, changing or giving away a row in another user's name.
POSTGRES_EXTRAS: dict[int, tuple[str, ...]] = {
    5: (
        'ALTER TABLE turns ALTER COLUMN "user" SET DEFAULT current_user',
        "ALTER TABLE sessions RENAME TO everyones_sessions",
        'ALTER TABLE everyones_sessions ADD COLUMN "user" TEXT DEFAULT current_user',
        """CREATE VIEW sessions AS SELECT at, session, notebook, name, parent
            FROM everyones_sessions WHERE "user" = current_user""",
    ),
    8: (
        'ALTER TABLE marks ADD COLUMN "user" TEXT',
        """UPDATE marks SET "user" = (SELECT max(known."user") FROM everyones_sessions AS known
            WHERE known.session = marks.session)""",
        """UPDATE marks SET "user" = (SELECT turns."user" FROM turns WHERE turns.turn = marks.turn)
            WHERE "user" IS NULL""",
        # Until now, a user who cleared the cache cleared it for all.
        """INSERT INTO marks (mark, at, kind, "user")
            SELECT mark || ' ' || known."user", at, kind, known."user"
            FROM marks, (SELECT DISTINCT "user" FROM turns) AS known
            WHERE kind = 'cleared' AND marks."user" IS NULL AND known."user" IS NOT NULL""",
        'ALTER TABLE marks ALTER COLUMN "user" SET DEFAULT current_user',
        """CREATE FUNCTION swiftask_own_row() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                NEW."user" := current_user;
            ELSIF OLD."user" IS DISTINCT FROM current_user THEN
                RAISE EXCEPTION 'a row of another user cannot be changed';
            ELSE
                NEW."user" := OLD."user";
            END IF;
            RETURN NEW;
        END $$""",
        """CREATE FUNCTION swiftask_own_text() RETURNS trigger LANGUAGE plpgsql
            SET search_path FROM CURRENT AS $$
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM turns
                WHERE turns.turn = NEW.turn AND turns."user" = current_user) THEN
                RAISE EXCEPTION 'a text of another user cannot be changed';
            END IF;
            RETURN NEW;
        END $$""",
        *(
            f"CREATE TRIGGER own_row BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION swiftask_own_row()"
            for table in _OWNED
        ),
        """CREATE TRIGGER own_text BEFORE INSERT OR UPDATE ON texts
            FOR EACH ROW EXECUTE FUNCTION swiftask_own_text()""",
    ),
}
