/*-------------------------------------------------------------------------
 *
 * 03_tables.sql
 *	  The governed tables: who there is, what is published, what is bound,
 *	  and the changes that made it so.
 *
 * They hold the present, and history only where a decision needs it (anchors,
 * versions); the history of everything is Chron.  No row is written but by
 * the functions of this script in a transaction that has recorded an act:
 * the triggers of 13_guards.sql refuse everything else, by whomever.
 *
 * No sequences (setval would rewind one), no cascades: a foreign key only
 * ever refuses.  Every table has a primary key, so that it can be replicated.
 *
 *-------------------------------------------------------------------------
 */

/* Organizations, humans, capabilities */

CREATE TABLE claiim.orgs
(
	org			text PRIMARY KEY CHECK (claiim._is_org_path(org)),
	founding	boolean NOT NULL DEFAULT false,
	description text CHECK (octet_length(description) <= 1000),
	status		text NOT NULL DEFAULT 'active'
				CHECK (status IN ('active', 'suspended')),
	status_since timestamptz NOT NULL DEFAULT clock_timestamp(),
	break_glass boolean NOT NULL DEFAULT true,
	emergency_until timestamptz,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX orgs_founding_key ON claiim.orgs (founding) WHERE founding;
COMMENT ON TABLE claiim.orgs IS 'Organizations. A name is a path: what is granted or bound in acme also holds in acme/finance.';
COMMENT ON COLUMN claiim.orgs.org IS 'Its name, a path';
COMMENT ON COLUMN claiim.orgs.founding IS 'True for the one that claiim.bootstrap made: its members create top-level organizations and map targets';
COMMENT ON COLUMN claiim.orgs.description IS 'What it is, for humans';
COMMENT ON COLUMN claiim.orgs.status IS 'active or suspended; agents of a suspended organization, and of those below it, are denied';
COMMENT ON COLUMN claiim.orgs.status_since IS 'When status last changed';
COMMENT ON COLUMN claiim.orgs.break_glass IS 'False: break-glass is forbidden here and in all organizations below';
COMMENT ON COLUMN claiim.orgs.emergency_until IS 'When the first lapses of what break-glass did to it and nobody has reviewed: from then on its agents, and those below, are denied; null if there is none';
COMMENT ON COLUMN claiim.orgs.created_at IS 'When it was registered';
COMMENT ON INDEX claiim.orgs_founding_key IS 'There is one founding organization';

CREATE TABLE claiim.humans
(
	human		text PRIMARY KEY CHECK (claiim._is_name(human)),
	org			text NOT NULL REFERENCES claiim.orgs,
	role_name	name NOT NULL UNIQUE,
	full_name	text CHECK (octet_length(full_name) <= 200),
	status		text NOT NULL DEFAULT 'active'
				CHECK (status IN ('active', 'inactive')),
	status_since timestamptz NOT NULL DEFAULT clock_timestamp(),
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX humans_org_idx ON claiim.humans (org);
COMMENT ON TABLE claiim.humans IS 'Humans who administer, approve, audit, or are accountable for agents; each is one database role.';
COMMENT ON COLUMN claiim.humans.human IS 'The name under which Chron knows this human, such as s.emp1';
COMMENT ON COLUMN claiim.humans.org IS 'The home organization, for good: it alone, with those above it, deactivates and reactivates this human';
COMMENT ON COLUMN claiim.humans.role_name IS 'The database role that this human logs in with (session_user)';
COMMENT ON COLUMN claiim.humans.full_name IS 'Full name, for reports';
COMMENT ON COLUMN claiim.humans.status IS 'active or inactive; an inactive human can do nothing, and agents anchored to one are denied';
COMMENT ON COLUMN claiim.humans.status_since IS 'When status last changed';
COMMENT ON COLUMN claiim.humans.created_at IS 'When this human was registered';
COMMENT ON INDEX claiim.humans_org_idx IS 'Finds the humans whose home an organization is';

CREATE TABLE claiim.memberships
(
	human		text NOT NULL REFERENCES claiim.humans,
	org			text NOT NULL REFERENCES claiim.orgs,
	capability	text NOT NULL
				CHECK (capability IN ('admin', 'approver', 'auditor', 'member')),
	granted_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (human, org, capability)
);
CREATE INDEX memberships_org_idx ON claiim.memberships (org);
COMMENT ON TABLE claiim.memberships IS 'What a human may do in an organization and in all that lie below it.';
COMMENT ON COLUMN claiim.memberships.human IS 'Who';
COMMENT ON COLUMN claiim.memberships.org IS 'Where, and in all organizations below';
COMMENT ON COLUMN claiim.memberships.capability IS 'admin proposes and acts; approver approves what another proposed; auditor reads Chron; member belongs (an anchor must)';
COMMENT ON COLUMN claiim.memberships.granted_at IS 'Since when';
COMMENT ON INDEX claiim.memberships_org_idx IS 'Finds the members of an organization';

/* Changes: what one human proposes and others approve */

CREATE TABLE claiim.changes
(
	change		text PRIMARY KEY CHECK (change ~ '^chg_[0-9a-z]{26}$'),
	kind		text NOT NULL,
	org			text NOT NULL REFERENCES claiim.orgs,
	subject		text NOT NULL,
	payload		jsonb NOT NULL,
	digest		bytea NOT NULL CHECK (octet_length(digest) = 32),
	summary		text NOT NULL,
	quorum		integer NOT NULL CHECK (quorum > 0),
	proposed_by text NOT NULL REFERENCES claiim.humans,
	proposed_at timestamptz NOT NULL,
	expires_at	timestamptz NOT NULL,
	status		text NOT NULL DEFAULT 'pending'
				CHECK (status IN ('pending', 'applied', 'rejected', 'withdrawn', 'expired')),
	decided_at	timestamptz,
	decided_by	text REFERENCES claiim.humans,
	reason		text,
	CHECK (expires_at > proposed_at),
	CHECK ((status = 'pending') = (decided_at IS NULL)),
	CHECK ((status IN ('pending', 'expired')) = (decided_by IS NULL))
);
CREATE INDEX changes_pending_idx ON claiim.changes (org) WHERE status = 'pending';
COMMENT ON TABLE claiim.changes IS 'Privileged changes: proposed by one human, taking effect with the approval of others.';
COMMENT ON COLUMN claiim.changes.change IS 'Its identifier, a TypeID';
COMMENT ON COLUMN claiim.changes.kind IS 'What kind of change, as noun.verb; also the act that its effect is recorded as';
COMMENT ON COLUMN claiim.changes.org IS 'The organization whose approvers decide';
COMMENT ON COLUMN claiim.changes.subject IS 'What is changed: an agent, human, organization or target pattern';
COMMENT ON COLUMN claiim.changes.payload IS 'All that the change will do, and under "base" the state that it was based on; fixed when proposed';
COMMENT ON COLUMN claiim.changes.digest IS 'SHA-256 over change, kind, org, subject, proposed_by and the text of payload, joined by newlines, in UTF-8';
COMMENT ON COLUMN claiim.changes.summary IS 'The change as a sentence, for those who approve';
COMMENT ON COLUMN claiim.changes.quorum IS 'How many approvals it needed when it was proposed; it takes effect with as many as then or as now, whichever is more';
COMMENT ON COLUMN claiim.changes.proposed_by IS 'The human who proposed it, and so can never approve it';
COMMENT ON COLUMN claiim.changes.proposed_at IS 'When';
COMMENT ON COLUMN claiim.changes.expires_at IS 'From when it can no longer be approved';
COMMENT ON COLUMN claiim.changes.status IS 'pending, applied, rejected, withdrawn or expired';
COMMENT ON COLUMN claiim.changes.decided_at IS 'When it left pending; null while it is pending';
COMMENT ON COLUMN claiim.changes.decided_by IS 'Who gave the last approval, applied it alone (break-glass), rejected or withdrew it; null if nobody did';
COMMENT ON COLUMN claiim.changes.reason IS 'Why it was rejected';
COMMENT ON INDEX claiim.changes_pending_idx IS 'Finds what waits for approval';

CREATE TABLE claiim.approvals
(
	change		text NOT NULL REFERENCES claiim.changes,
	human		text NOT NULL REFERENCES claiim.humans,
	approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (change, human)
);
COMMENT ON TABLE claiim.approvals IS 'Who approved which change.';
COMMENT ON COLUMN claiim.approvals.change IS 'What was approved';
COMMENT ON COLUMN claiim.approvals.human IS 'By whom; never its proposer, never twice';
COMMENT ON COLUMN claiim.approvals.approved_at IS 'When';

/* Agents and those who are accountable for them */

CREATE TABLE claiim.agents
(
	agent		text PRIMARY KEY CHECK (claiim._is_name(agent)),
	org			text NOT NULL REFERENCES claiim.orgs,
	description text CHECK (octet_length(description) <= 1000),
	skills		text[] NOT NULL CHECK (array_position(skills, NULL) IS NULL),
	role_name	name UNIQUE,
	status		text NOT NULL DEFAULT 'active'
				CHECK (status IN ('active', 'suspended', 'retired')),
	status_since timestamptz NOT NULL DEFAULT clock_timestamp(),
	emergency_until timestamptz,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX agents_org_idx ON claiim.agents (org);
COMMENT ON TABLE claiim.agents IS 'Registered agents.';
COMMENT ON COLUMN claiim.agents.agent IS 'Its name, such as deploy-bot';
COMMENT ON COLUMN claiim.agents.org IS 'Its organization; it acts on that organization''s targets only';
COMMENT ON COLUMN claiim.agents.description IS 'What it is for';
COMMENT ON COLUMN claiim.agents.skills IS 'The skills that it declares, by name without version';
COMMENT ON COLUMN claiim.agents.role_name IS 'The database role bound to it, which proves its identity without a token; null if none is';
COMMENT ON COLUMN claiim.agents.status IS 'active, suspended (one human suspends, two resume) or retired (for good)';
COMMENT ON COLUMN claiim.agents.status_since IS 'When status last changed';
COMMENT ON COLUMN claiim.agents.emergency_until IS 'When the first lapses of what break-glass did to it and nobody has reviewed: from then on it is denied; null if there is none';
COMMENT ON COLUMN claiim.agents.created_at IS 'When it was registered';
COMMENT ON INDEX claiim.agents_org_idx IS 'Finds the agents of an organization';

CREATE TABLE claiim.anchors
(
	agent		text NOT NULL REFERENCES claiim.agents,
	human		text NOT NULL REFERENCES claiim.humans,
	valid_from	timestamptz NOT NULL,
	valid_until timestamptz CHECK (valid_until > valid_from),
	PRIMARY KEY (agent, valid_from)
);
CREATE UNIQUE INDEX anchors_current_key ON claiim.anchors (agent) WHERE valid_until IS NULL;
CREATE INDEX anchors_human_idx ON claiim.anchors (human) WHERE valid_until IS NULL;
COMMENT ON TABLE claiim.anchors IS 'Which human is, or was, accountable for which agent.';
COMMENT ON COLUMN claiim.anchors.agent IS 'The agent';
COMMENT ON COLUMN claiim.anchors.human IS 'The human accountable for it';
COMMENT ON COLUMN claiim.anchors.valid_from IS 'Since when';
COMMENT ON COLUMN claiim.anchors.valid_until IS 'Until when; null for the anchor of today';
COMMENT ON INDEX claiim.anchors_current_key IS 'An agent has one anchor at a time';
COMMENT ON INDEX claiim.anchors_human_idx IS 'Finds the agents that a human is accountable for';

CREATE TABLE claiim.tokens
(
	token		text PRIMARY KEY CHECK (token ~ '^ctk_[0-9a-z]{26}$'),
	agent		text NOT NULL REFERENCES claiim.agents,
	digest		bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
	label		text CHECK (octet_length(label) <= 200),
	networks	cidr[] CHECK (cardinality(networks) > 0 AND array_position(networks, NULL) IS NULL),
	issued_by	text NOT NULL REFERENCES claiim.humans,
	issued_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	expires_at	timestamptz CHECK (expires_at >= issued_at),
	revoked_at	timestamptz,
	revoked_by	text REFERENCES claiim.humans,
	/* no foreign key: of one to its own table pg_dump warns as of a circle */
	replaces	text UNIQUE,
	CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX tokens_agent_idx ON claiim.tokens (agent);
COMMENT ON TABLE claiim.tokens IS 'Tokens of agents. The token itself was shown once and is nowhere.';
COMMENT ON COLUMN claiim.tokens.token IS 'The token''s identifier, which is not secret';
COMMENT ON COLUMN claiim.tokens.agent IS 'The agent that it proves to be';
COMMENT ON COLUMN claiim.tokens.digest IS 'HMAC-SHA256 of the token under the secret that claiim.token_secret_file names';
COMMENT ON COLUMN claiim.tokens.label IS 'What it was issued for';
COMMENT ON COLUMN claiim.tokens.networks IS 'The networks that its bearer must connect from; null: anywhere';
COMMENT ON COLUMN claiim.tokens.issued_by IS 'The human who issued it';
COMMENT ON COLUMN claiim.tokens.issued_at IS 'When';
COMMENT ON COLUMN claiim.tokens.expires_at IS 'From when it is no longer valid; null: it does not expire';
COMMENT ON COLUMN claiim.tokens.revoked_at IS 'When it was revoked; null if it was not';
COMMENT ON COLUMN claiim.tokens.revoked_by IS 'The human who revoked it';
COMMENT ON COLUMN claiim.tokens.replaces IS 'The token that was rotated, of which this one takes the place; null if none was';
COMMENT ON INDEX claiim.tokens_agent_idx IS 'Finds the tokens of an agent';

/* Skills and policies: names, and versions that never change */

CREATE TABLE claiim.skills
(
	skill		text PRIMARY KEY CHECK (claiim._is_document_name(skill)),
	org			text NOT NULL REFERENCES claiim.orgs,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE claiim.skills IS 'Skills by name: what an agent can be capable of.';
COMMENT ON COLUMN claiim.skills.skill IS 'Its name, such as deploy';
COMMENT ON COLUMN claiim.skills.org IS 'The organization that publishes it; policies there and below may use it';
COMMENT ON COLUMN claiim.skills.created_at IS 'When its first version was published';

CREATE TABLE claiim.skill_versions
(
	skill		text NOT NULL REFERENCES claiim.skills,
	version		integer NOT NULL CHECK (version > 0),
	name		text NOT NULL UNIQUE CHECK (name = skill || '-v' || version::text),
	source		text NOT NULL,
	sha256		bytea NOT NULL CHECK (octet_length(sha256) = 32),
	published_by text NOT NULL REFERENCES claiim.humans,
	published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (skill, version)
);
COMMENT ON TABLE claiim.skill_versions IS 'Published versions of skills, which never change.';
COMMENT ON COLUMN claiim.skill_versions.skill IS 'Of which skill';
COMMENT ON COLUMN claiim.skill_versions.version IS 'Its number, from 1';
COMMENT ON COLUMN claiim.skill_versions.name IS 'Its name, such as deploy-v2';
COMMENT ON COLUMN claiim.skill_versions.source IS 'The document, as it was published';
COMMENT ON COLUMN claiim.skill_versions.sha256 IS 'SHA-256 of the source in UTF-8';
COMMENT ON COLUMN claiim.skill_versions.published_by IS 'The human who published it';
COMMENT ON COLUMN claiim.skill_versions.published_at IS 'When';

CREATE TABLE claiim.policies
(
	policy		text PRIMARY KEY CHECK (claiim._is_document_name(policy)),
	org			text NOT NULL REFERENCES claiim.orgs,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE claiim.policies IS 'Policies by name: what an agent is allowed to do.';
COMMENT ON COLUMN claiim.policies.policy IS 'Its name, such as no-prod';
COMMENT ON COLUMN claiim.policies.org IS 'The organization that publishes it; it can be bound there and below';
COMMENT ON COLUMN claiim.policies.created_at IS 'When its first version was published';

CREATE TABLE claiim.policy_versions
(
	policy		text NOT NULL REFERENCES claiim.policies,
	version		integer NOT NULL CHECK (version > 0),
	name		text NOT NULL UNIQUE CHECK (name = policy || '-v' || version::text),
	source		text NOT NULL,
	sha256		bytea NOT NULL CHECK (octet_length(sha256) = 32),
	published_by text NOT NULL REFERENCES claiim.humans,
	published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (policy, version)
);
COMMENT ON TABLE claiim.policy_versions IS 'Published versions of policies, which never change, and do nothing until they are bound.';
COMMENT ON COLUMN claiim.policy_versions.policy IS 'Of which policy';
COMMENT ON COLUMN claiim.policy_versions.version IS 'Its number, from 1';
COMMENT ON COLUMN claiim.policy_versions.name IS 'Its name, such as no-prod-v1';
COMMENT ON COLUMN claiim.policy_versions.source IS 'The document, as it was published';
COMMENT ON COLUMN claiim.policy_versions.sha256 IS 'SHA-256 of the source in UTF-8';
COMMENT ON COLUMN claiim.policy_versions.published_by IS 'The human who published it';
COMMENT ON COLUMN claiim.policy_versions.published_at IS 'When';

CREATE TABLE claiim.bindings
(
	agent		text UNIQUE REFERENCES claiim.agents,
	org			text UNIQUE REFERENCES claiim.orgs,
	policy_version text NOT NULL REFERENCES claiim.policy_versions (name),
	change		text PRIMARY KEY REFERENCES claiim.changes,
	bound_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK (num_nonnulls(agent, org) = 1)
);
COMMENT ON TABLE claiim.bindings IS 'Which policy version governs an agent, or all agents of an organization as its baseline, today.';
COMMENT ON COLUMN claiim.bindings.agent IS 'The agent; null for a baseline';
COMMENT ON COLUMN claiim.bindings.org IS 'The organization of a baseline; null for an agent''s own policy';
COMMENT ON COLUMN claiim.bindings.policy_version IS 'The policy version, by name';
COMMENT ON COLUMN claiim.bindings.change IS 'The approved change that bound it';
COMMENT ON COLUMN claiim.bindings.bound_at IS 'Since when';

CREATE TABLE claiim.targets
(
	pattern		text PRIMARY KEY,
	org			text NOT NULL REFERENCES claiim.orgs
);
COMMENT ON TABLE claiim.targets IS 'Which organization owns which targets; the most specific pattern that matches decides.';
COMMENT ON COLUMN claiim.targets.pattern IS 'A pattern of segments joined by /, where * is any one segment and ** the rest';
COMMENT ON COLUMN claiim.targets.org IS 'The organization whose agents, alone, may act on them';

/* All of it is the user's data: pg_dump carries it. */
SELECT pg_catalog.pg_extension_config_dump('claiim.orgs', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.humans', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.memberships', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.changes', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.approvals', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.agents', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.anchors', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.tokens', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.skills', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.skill_versions', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.policies', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.policy_versions', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.bindings', '');
SELECT pg_catalog.pg_extension_config_dump('claiim.targets', '');
