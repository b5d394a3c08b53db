/*-------------------------------------------------------------------------
 *
 * 04_control.sql
 *	  The governed tables of two-person control itself: how many approve,
 *	  what was done alone and waits for a second pair of eyes, how long
 *	  contexts are kept, and what must not be pruned.
 *
 * As 03_tables.sql: they hold the present, Chron holds the history.
 *
 *-------------------------------------------------------------------------
 */

CREATE TABLE claiim.quorums
(
	org			text NOT NULL REFERENCES claiim.orgs,
	kind		text NOT NULL,
	approvals	integer NOT NULL CHECK (approvals BETWEEN 1 AND 20),
	PRIMARY KEY (org, kind)
);
COMMENT ON TABLE claiim.quorums IS 'How many humans must approve a change, beside its proposer. Where nothing is said: one.';
COMMENT ON COLUMN claiim.quorums.org IS 'The organization that it holds for, and for those below that say nothing else';
COMMENT ON COLUMN claiim.quorums.kind IS 'The kind of change, or * for all that have no row of their own here or above';
COMMENT ON COLUMN claiim.quorums.approvals IS 'How many approvals';

CREATE TABLE claiim.reviews
(
	review		text PRIMARY KEY CHECK (review ~ '^rev_[0-9a-z]{26}$'),
	change		text NOT NULL UNIQUE REFERENCES claiim.changes,
	org			text NOT NULL REFERENCES claiim.orgs,
	bounded_agent text REFERENCES claiim.agents,
	bounded_org text REFERENCES claiim.orgs,
	broken_by	text NOT NULL REFERENCES claiim.humans,
	reason		text NOT NULL,
	opened_at	timestamptz NOT NULL,
	lapses_at	timestamptz NOT NULL CHECK (lapses_at > opened_at),
	verdict		text CHECK (verdict IN ('justified', 'unjustified')),
	note		text,
	closed_by	text REFERENCES claiim.humans CHECK (closed_by <> broken_by),
	closed_at	timestamptz,
	CHECK (num_nonnulls(bounded_agent, bounded_org) = 1),
	CHECK (num_nonnulls(verdict, note, closed_by, closed_at) IN (0, 4))
);
CREATE INDEX reviews_open_idx ON claiim.reviews (org) WHERE verdict IS NULL;
COMMENT ON TABLE claiim.reviews IS 'What one human did alone by break-glass, each to be reviewed by a second.';
COMMENT ON COLUMN claiim.reviews.review IS 'Its identifier, a TypeID';
COMMENT ON COLUMN claiim.reviews.change IS 'The change that was applied without approval';
COMMENT ON COLUMN claiim.reviews.org IS 'The organization whose approvers review it: that of the change';
COMMENT ON COLUMN claiim.reviews.bounded_agent IS 'The agent that is denied when it lapses; null if an organization''s are';
COMMENT ON COLUMN claiim.reviews.bounded_org IS 'The organization whose agents, and those below, are denied when it lapses; null if a single agent is';
COMMENT ON COLUMN claiim.reviews.broken_by IS 'The human who acted alone';
COMMENT ON COLUMN claiim.reviews.reason IS 'Why, as written then';
COMMENT ON COLUMN claiim.reviews.opened_at IS 'When';
COMMENT ON COLUMN claiim.reviews.lapses_at IS 'From when it no longer holds unless it was found justified';
COMMENT ON COLUMN claiim.reviews.verdict IS 'justified or unjustified; null while the review is open';
COMMENT ON COLUMN claiim.reviews.note IS 'What the reviewer wrote; null while it is open';
COMMENT ON COLUMN claiim.reviews.closed_by IS 'The human who closed it, never the one who acted; null while it is open';
COMMENT ON COLUMN claiim.reviews.closed_at IS 'When; null while it is open';
COMMENT ON INDEX claiim.reviews_open_idx IS 'Finds what waits for review';

CREATE TABLE claiim.retentions
(
	org			text PRIMARY KEY REFERENCES claiim.orgs,
	keep		interval NOT NULL CHECK (keep > interval '0')
);
COMMENT ON TABLE claiim.retentions IS 'How long contexts of decisions are kept. Where nothing is said: for good. Chron itself is never pruned.';
COMMENT ON COLUMN claiim.retentions.org IS 'The organization that it holds for, and for those below that say nothing else';
COMMENT ON COLUMN claiim.retentions.keep IS 'From what age claiim.prune_contexts removes a context';

CREATE TABLE claiim.holds
(
	org			text PRIMARY KEY REFERENCES claiim.orgs,
	reason		text NOT NULL,
	placed_by	text NOT NULL REFERENCES claiim.humans,
	placed_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE claiim.holds IS 'Legal holds: while there is one, no context of the organization or of those below is pruned or erased.';
COMMENT ON COLUMN claiim.holds.org IS 'The organization';
COMMENT ON COLUMN claiim.holds.reason IS 'Why';
COMMENT ON COLUMN claiim.holds.placed_by IS 'The human who placed it';
COMMENT ON COLUMN claiim.holds.placed_at IS 'When';

SELECT pg_catalog.pg_extension_config_dump('claiim.quorums', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.reviews', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.retentions', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.holds', '');
