/*-------------------------------------------------------------------------
 *
 * 06_chron.sql
 *	  Chron's tables, and the functions that read a record's bytes.
 *
 * Only the writer, a background worker, writes here; its columns are in the
 * order of the fields of doc/chron-format.md.  No foreign keys: a record says
 * what was, whatever becomes of the rows that it names.  The script makes no
 * partitions.  The writer makes one a month, which does not belong to the
 * extension, so that pg_dump carries it.  Each partition has a primary key of
 * its own, and chron itself no index: a restore attaches a partition to the
 * chron that CREATE EXTENSION made, would then be given the key by it, and
 * would fail when it comes to the dumped one.
 *
 *-------------------------------------------------------------------------
 */

CREATE TABLE claiim.chron
(
	seq			bigint NOT NULL CHECK (seq > 0),
	at			timestamptz NOT NULL,
	log			text NOT NULL,
	clock		timestamptz,
	kind		text NOT NULL,
	outcome		text,
	agent		text,
	action		text,
	target		text,
	org			text,
	anchor		text,
	policy		text,
	skill		text,
	baseline	text,
	rule		text,
	reason_code	text,
	reason		text,
	session		text,
	approved_by	text,
	auth		text,
	token		text,
	db_user		text,
	client		text,
	context_digest bytea,
	actor		text,
	act			text,
	subject		text,
	change		text,
	detail		text,
	leaf		bytea NOT NULL CHECK (octet_length(leaf) = 32),
	link		bytea NOT NULL CHECK (octet_length(link) = 32)
)
PARTITION BY RANGE (at);
COMMENT ON TABLE claiim.chron IS 'The append-only proof: every decision and every governance act, chained by hash. Auditors read claiim.decisions and claiim.acts.';
COMMENT ON COLUMN claiim.chron.seq IS 'Its number, from 1, without gaps (field 2)';
COMMENT ON COLUMN claiim.chron.at IS 'When it was decided or done; never before its predecessor''s (field 3)';
COMMENT ON COLUMN claiim.chron.log IS 'The log that it was written in, see claiim.logs (field 1)';
COMMENT ON COLUMN claiim.chron.clock IS 'What the clock said where it had been set back behind at (field 4)';
COMMENT ON COLUMN claiim.chron.kind IS 'decision or act (field 5)';
COMMENT ON COLUMN claiim.chron.outcome IS 'Of a decision: ALLOW or DENY (field 6)';
COMMENT ON COLUMN claiim.chron.agent IS 'The agent, as it called itself (field 7)';
COMMENT ON COLUMN claiim.chron.action IS 'The action that it asked for (field 8)';
COMMENT ON COLUMN claiim.chron.target IS 'What it asked to act on (field 9)';
COMMENT ON COLUMN claiim.chron.org IS 'The organization whose auditors may read this; null if none is known (field 10)';
COMMENT ON COLUMN claiim.chron.anchor IS 'The human accountable for the agent at that time (field 11)';
COMMENT ON COLUMN claiim.chron.policy IS 'The agent''s policy version (field 12)';
COMMENT ON COLUMN claiim.chron.skill IS 'The skill version or versions (field 13)';
COMMENT ON COLUMN claiim.chron.baseline IS 'The policy versions of the organizations above, outermost first (field 14)';
COMMENT ON COLUMN claiim.chron.rule IS 'The entry that decided: list, line and pattern (field 15)';
COMMENT ON COLUMN claiim.chron.reason_code IS 'Why, as a stable code (field 16)';
COMMENT ON COLUMN claiim.chron.reason IS 'Why; who did not prove to be the agent was told no more than that (field 17)';
COMMENT ON COLUMN claiim.chron.session IS 'The approved session, as passed or found (field 18)';
COMMENT ON COLUMN claiim.chron.approved_by IS 'The humans who approved that session, comma separated (field 19)';
COMMENT ON COLUMN claiim.chron.auth IS 'How the agent proved itself: role, token or transaction; null if it did not (field 20)';
COMMENT ON COLUMN claiim.chron.token IS 'The identifier of the token that was shown, never the token (field 21)';
COMMENT ON COLUMN claiim.chron.db_user IS 'The database role that was logged in (field 22)';
COMMENT ON COLUMN claiim.chron.client IS 'The client''s network address (field 23)';
COMMENT ON COLUMN claiim.chron.context_digest IS 'Salted digest of the context, see claiim.contexts (field 24)';
COMMENT ON COLUMN claiim.chron.actor IS 'Of an act: the human who did it; null if none did (field 25)';
COMMENT ON COLUMN claiim.chron.act IS 'Of an act: what was done, as noun.verb (field 26)';
COMMENT ON COLUMN claiim.chron.subject IS 'Of an act: what it was done to (field 27)';
COMMENT ON COLUMN claiim.chron.change IS 'Of an act: the change that it belongs to (field 28)';
COMMENT ON COLUMN claiim.chron.detail IS 'Of an act: the rest, as JSON (field 29)';
COMMENT ON COLUMN claiim.chron.leaf IS 'SHA-256 over the record''s canonical bytes: doc/chron-format.md';
COMMENT ON COLUMN claiim.chron.link IS 'SHA-256 over the previous record''s link and this leaf';

CREATE TABLE claiim.contexts
(
	seq			bigint PRIMARY KEY,
	salt		bytea NOT NULL CHECK (octet_length(salt) = 32),
	value		text NOT NULL
);
COMMENT ON TABLE claiim.contexts IS 'Contexts of decisions. Chron holds their salted digests only, so that deleting one erases what it said and every proof still holds.';
COMMENT ON COLUMN claiim.contexts.seq IS 'The decision''s number in Chron';
COMMENT ON COLUMN claiim.contexts.salt IS '32 random bytes';
COMMENT ON COLUMN claiim.contexts.value IS 'The context, as JSON text';

CREATE TABLE claiim.logs
(
	log			text PRIMARY KEY CHECK (log ~ '^log_[0-9a-z]{26}$'),
	system_identifier bigint NOT NULL,
	database_oid oid NOT NULL,
	chron_oid	oid NOT NULL,
	opened_at	timestamptz NOT NULL,
	first_seq	bigint NOT NULL CHECK (first_seq > 0)
);
COMMENT ON TABLE claiim.logs IS 'Which database of which cluster wrote which stretch of Chron: a copy or a restore opens a log of its own.';
COMMENT ON COLUMN claiim.logs.log IS 'The log''s identifier, a TypeID';
COMMENT ON COLUMN claiim.logs.system_identifier IS 'The cluster''s, as pg_control_system() shows it';
COMMENT ON COLUMN claiim.logs.database_oid IS 'The database''s OID in that cluster';
COMMENT ON COLUMN claiim.logs.chron_oid IS 'The OID of claiim.chron in that database';
COMMENT ON COLUMN claiim.logs.opened_at IS 'When';
COMMENT ON COLUMN claiim.logs.first_seq IS 'The number of its first record';

CREATE TABLE claiim.outbox
(
	act_id		text PRIMARY KEY,
	xact		xid8 NOT NULL DEFAULT pg_current_xact_id(),
	committed_at timestamptz,
	act			text NOT NULL,
	actor		text,
	org			text,
	subject		text,
	change		text,
	detail		text,
	db_user		text,
	client		text
);
COMMENT ON TABLE claiim.outbox IS 'Governance acts on their way into Chron: written in the transaction of the act, emptied by the writer.';
COMMENT ON COLUMN claiim.outbox.act_id IS 'A TypeID, in the order of the acts';
COMMENT ON COLUMN claiim.outbox.xact IS 'The transaction of the act';
COMMENT ON COLUMN claiim.outbox.committed_at IS 'Taken right before its commit, one transaction at a time: the order in which Chron takes them';
COMMENT ON COLUMN claiim.outbox.act IS 'What was done, as noun.verb';
COMMENT ON COLUMN claiim.outbox.actor IS 'The human who did it; null if none did';
COMMENT ON COLUMN claiim.outbox.org IS 'The organization that it belongs to';
COMMENT ON COLUMN claiim.outbox.subject IS 'What it was done to';
COMMENT ON COLUMN claiim.outbox.change IS 'The change that it belongs to';
COMMENT ON COLUMN claiim.outbox.detail IS 'The rest, as JSON';
COMMENT ON COLUMN claiim.outbox.db_user IS 'The database role that was logged in';
COMMENT ON COLUMN claiim.outbox.client IS 'The client''s network address';

SELECT pg_catalog.pg_extension_config_dump('claiim.chron', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.contexts', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.logs', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.outbox', '');

/*
 * Records are in the order of their times, so a BRIN index finds a stretch of
 * time in a few pages, and costs the writer nothing that could be measured
 * (bench/README.md).
 *
 * A partition is a table of its own that is then attached: ATTACH takes a
 * lock on chron that lets readers and inserts pass, and CREATE ... PARTITION
 * OF does not.  Each has its own primary key, and chron itself has none: a
 * restore would otherwise find the one that ATTACH has made.  Row triggers
 * come with ATTACH; the one for TRUNCATE does not.
 */
CREATE FUNCTION claiim._add_partition(name text, from_at timestamptz, until_at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	grantee text;
BEGIN
	EXECUTE format('CREATE TABLE claiim.%I (LIKE claiim.chron'
				   ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
				   ' INCLUDING STORAGE INCLUDING COMMENTS,'
				   ' PRIMARY KEY (seq))', name);
	EXECUTE format('CREATE INDEX %I ON claiim.%I USING brin (at)'
				   ' WITH (autosummarize = on)', name || '_at_idx', name);
	/* Whatever the owner's default privileges gave away. */
	FOR grantee IN
		SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
		FROM pg_class c
			CROSS JOIN LATERAL aclexplode(c.relacl) a
			LEFT JOIN pg_roles r ON r.oid = a.grantee
		WHERE c.oid = format('claiim.%I', name)::regclass
			AND a.grantee <> c.relowner
	LOOP
		EXECUTE format('REVOKE ALL ON claiim.%I FROM %s', name, grantee);
	END LOOP;
	/* Without a policy: who is granted it all the same sees nothing in it. */
	EXECUTE format('ALTER TABLE claiim.%I ENABLE ROW LEVEL SECURITY', name);
	EXECUTE format('ALTER TABLE claiim.chron ATTACH PARTITION claiim.%I'
				   ' FOR VALUES FROM (%L) TO (%L)', name, from_at, until_at);
	EXECUTE format('CREATE TRIGGER claiim_guard_truncate'
				   ' BEFORE TRUNCATE ON claiim.%I'
				   ' FOR EACH STATEMENT EXECUTE FUNCTION claiim._guard_chron()', name);
	EXECUTE format('ALTER TABLE claiim.%I'
				   ' ENABLE ALWAYS TRIGGER claiim_guard_truncate', name);
	EXECUTE format('COMMENT ON TRIGGER claiim_guard_truncate ON claiim.%I'
				   ' IS %L', name, 'Refuses TRUNCATE');
	EXECUTE format('COMMENT ON TABLE claiim.%I IS %L', name,
				   format('Chron of %s (UTC); made by the writer.',
						  to_char(from_at AT TIME ZONE 'UTC', 'YYYY-MM')));
END
$$;
COMMENT ON FUNCTION claiim._add_partition(text, timestamptz, timestamptz) IS
'Makes the partition of chron that takes the records from from_at until before until_at. For the writer, which runs as the extension''s owner.';

CREATE FUNCTION claiim.chron_id(seq bigint, at timestamptz) RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_chron_id';
COMMENT ON FUNCTION claiim.chron_id(bigint, timestamptz) IS
'The identifier (chr_...) of the record with this number and time.';

CREATE FUNCTION claiim._chron_key(chron_id text, OUT seq bigint, OUT at timestamptz)
RETURNS record
LANGUAGE C IMMUTABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'claiim_chron_key';
COMMENT ON FUNCTION claiim._chron_key(text) IS
'The number and time that a record''s identifier encodes. Errors: 22023 if it is not one.';

/*
 * These two read Chron, which their callers may not.  Whose record it is, is
 * checked by claiim.record_bytes, in 12_views.sql.
 */
CREATE FUNCTION claiim._record_bytes(chron_id text) RETURNS bytea
LANGUAGE C STABLE PARALLEL UNSAFE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'claiim_record_bytes';
COMMENT ON FUNCTION claiim._record_bytes(text) IS
'The canonical bytes of any record. Errors: 22023 if there is none.';

CREATE FUNCTION claiim.verify(OUT ok boolean, OUT records bigint,
							  OUT first_bad bigint, OUT problem text,
							  OUT last_seq bigint, OUT last_link bytea)
RETURNS record
LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'claiim_verify';
COMMENT ON FUNCTION claiim.verify() IS
'Recomputes every hash of Chron from its rows, and compares what stands beside it with its records: claiim.completions, claiim.session_uses, claiim.logs, and those contexts that are there. ok: whether all agree; records: how many were read; first_bad, problem: the number of the first record that does not agree, and why (first_bad is NULL if a row is wrong that is no record''s); last_seq, last_link: where the chain ends, to be compared with what was seen before.';
