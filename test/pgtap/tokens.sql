/*
 * tokens.sql
 *	  Tokens as those who govern see them: issued, bound to networks, rotated,
 *	  revoked, listed; every rule, and everything that is refused.
 *
 * Needs a superuser and a cluster that preloads claiim and has a token
 * secret.  What a token proves at the gate is in test/sql/23_tokens.sql and
 * test/t/018_tokens.pl.
 */
\ir include/refusals.sql

SELECT no_plan();

BEGIN;

CREATE ROLE t_ann LOGIN;
CREATE ROLE t_bob LOGIN;
CREATE ROLE t_aud LOGIN;
CREATE ROLE t_eve LOGIN;
CREATE ROLE t_fred LOGIN;
CREATE ROLE t_mem LOGIN;
CREATE ROLE t_bot LOGIN IN ROLE claiim_agent;
CREATE ROLE t_nobody LOGIN IN ROLE claiim_admin, claiim_auditor;

/* All of an error that a client sees, or NULL. */
CREATE FUNCTION pg_temp.whole_error_by(role name, statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
	context text;
BEGIN
	PERFORM pg_temp.by(role, statement);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	/* The outermost lines are our own, and have the statement. */
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint,
					 regexp_replace(context, E'SQL statement "[^"]*"\nPL/pgSQL function pg_temp.*$', ''));
END
$$;

CREATE FUNCTION pg_temp.token(id text) RETURNS claiim.tokens
LANGUAGE sql AS 'SELECT t FROM claiim.tokens t WHERE t.token = id';

/* The networks of a token that is issued for them. */
CREATE FUNCTION pg_temp.bound_to(networks text) RETURNS cidr[]
LANGUAGE plpgsql AS $$
DECLARE
	id text := pg_temp.by('t_ann', format('SELECT token_id FROM claiim.issue_token(''bot'', networks => %L)', networks));
BEGIN
	RETURN (SELECT t.networks FROM claiim.tokens t WHERE t.token = id);
END
$$;

/* "2 days", of what differs from it by less than a minute. */
CREATE FUNCTION pg_temp.about(later timestamptz, earlier timestamptz) RETURNS interval
LANGUAGE sql AS $$ SELECT date_trunc('minute', later - earlier + interval '30 s') $$;

SELECT claiim.bootstrap('acme', 'ann', 't_ann', 'bob', 't_bob');
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('aud','t_aud',NULL,'acme','{auditor}')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('eve','t_eve',NULL,'acme','{member}')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('fred','t_fred',NULL,'acme','{member,approver}')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_human('mem','t_mem',NULL,'acme','{member}')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_org('other','Another','eve','fred')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_agent('bot','acme','ann','{deploy}')$$);
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.register_agent('late-bot','acme','ann','{deploy}')$$);

/* ---- networks ---- */

SELECT is(pg_temp.bound_to(NULL), NULL, 'a token that is bound to no network is valid anywhere');
SELECT is(pg_temp.detail('token.issue') -> 'networks', 'null', 'which the act says');
SELECT is(pg_temp.bound_to(given), wanted::cidr[], name)
FROM (VALUES
	('{10.1.0.0/16}', '{10.1.0.0/16}', 'one network'),
	('{192.168.7.4}', '{192.168.7.4/32}', 'an address alone is a network of one'),
	('{10.2.0.0/16,10.1.0.0/16,10.2.0.0/16}', '{10.1.0.0/16,10.2.0.0/16}', 'several are sorted, each once'),
	('{2001:db8::/32,10.0.0.0/8}', '{10.0.0.0/8,2001:db8::/32}', 'of either family'),
	('{::ffff:10.1.2.0/120}', '{10.1.2.0/24}', 'an IPv4-mapped one is the IPv4 network that it stands for'),
	('{::ffff:10.1.2.3,10.1.2.3/32}', '{10.1.2.3/32}', 'also a single address, that is not kept twice then'),
	('{::ffff:0:0/96}', '{0.0.0.0/0}', 'all of them are all of IPv4'),
	('{::/0}', '{::/0}', 'what is wider than those is IPv6 and no IPv4'),
	('{0.0.0.0/0,::/0}', '{0.0.0.0/0,::/0}', 'every network there is')
) AS v (given, wanted, name);
SELECT is(pg_temp.detail('token.issue') -> 'networks', '["0.0.0.0/0", "::/0"]', 'networks are in the act');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.issue_token('bot', networks => '{10.1.2.3/16}')$$, '22P02',
	'invalid cidr value: "10.1.2.3/16"', 'a network with bits to the right of its mask is refused');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.issue_token('bot', networks => '{}')$$, '22023',
	'a token must be valid somewhere', 'a token for no network at all is refused');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.issue_token('bot', networks => '{10.0.0.0/8,NULL}')$$, '22004',
	'networks must not contain nulls', 'as is a null among them');
SELECT pg_temp.refused('t_ann', $$SELECT claiim.issue_token('bot', networks => (SELECT array_agg(('10.0.0.' || i)::cidr) FROM generate_series(0, 100) i))$$, '54000',
	'too many networks', 'and more than a hundred');
SELECT is(pg_temp.by('t_ann', $$SELECT token_id ~ '^ctk_' FROM claiim.issue_token('bot', networks => (SELECT array_agg(('10.0.0.' || i)::cidr) FROM generate_series(1, 100) i))$$),
	'true', 'but not a hundred');

/* ---- rotation ---- */

SELECT pg_temp.by('t_ann', $$SELECT format('%s %s', token_id, token) FROM claiim.issue_token('bot', '90 days', 'ci', '{10.0.0.0/8}')$$) AS issued \gset
SELECT split_part(:'issued', ' ', 1) AS a, split_part(:'issued', ' ', 2) AS a_token \gset
SELECT pg_temp.by('t_bob', format('SELECT format(''%%s %%s %%s'', token_id, token, expires_at) FROM claiim.rotate_token(%L)', :'a')) AS rotated \gset
SELECT split_part(:'rotated', ' ', 1) AS b, split_part(:'rotated', ' ', 2) AS b_token \gset
SELECT ok(:'b' ~ '^ctk_[0-9a-z]{26}$' AND :'b' <> :'a' AND starts_with(:'b_token', :'b' || '_') AND length(:'b_token') = length(:'a_token')
	AND right(:'b_token', 43) <> right(:'a_token', 43), 'rotating gives a new token with a new identifier');
SELECT results_eq(format('SELECT agent, label, networks, issued_by, replaces FROM claiim.tokens WHERE token = %L', :'b'),
	format($$VALUES ('bot', 'ci', '{10.0.0.0/8}'::cidr[], 'bob', %L)$$, :'a'), 'for the same agent, with its label and its networks');
SELECT is(pg_temp.about((pg_temp.token(:'a')).expires_at, clock_timestamp()), '1 hour', 'the old one is valid for an hour yet');
SELECT is(pg_temp.about((pg_temp.token(:'b')).expires_at, clock_timestamp()), '90 days', 'the new one for as long as the old one was issued for');
SELECT isnt((pg_temp.token(:'a')).digest, (pg_temp.token(:'b')).digest, 'their digests have nothing in common');
SELECT is((SELECT count(*) FROM claiim.outbox WHERE act = 'token.rotate'), 1::bigint, 'rotating is one act');
SELECT is((SELECT concat_ws(' ', actor, org, subject, change) FROM claiim.outbox WHERE act = 'token.rotate'), 'bob acme bot', 'of the human who did it, about the agent');
SELECT is(pg_temp.detail('token.rotate') - '{expires_at,replaced_expires_at}'::text[],
	jsonb_build_object('token', :'b', 'replaces', :'a', 'label', 'ci', 'networks', '["10.0.0.0/8"]'::jsonb), 'which names both, the label and the networks');
SELECT is((pg_temp.detail('token.rotate') ->> 'replaced_expires_at')::timestamptz, (pg_temp.token(:'a')).expires_at, 'until when the old one is valid');
SELECT is((pg_temp.detail('token.rotate') ->> 'expires_at')::timestamptz, (pg_temp.token(:'b')).expires_at, 'and the new one');

SELECT is(pg_temp.by('t_ann', format('SELECT expires_at IS NOT NULL FROM claiim.rotate_token(%L, ''10 minutes'', ''2 days'')', :'b')), 'true', 'the overlap and the lifetime can be given');
SELECT is(pg_temp.about((pg_temp.token(:'b')).expires_at, clock_timestamp()), '10 minutes', 'the overlap is what was given');
SELECT token AS c, pg_temp.about(expires_at, clock_timestamp()) AS lifetime FROM claiim.tokens WHERE replaces = :'b' \gset
SELECT is(:'lifetime'::interval, '2 days', 'and the lifetime');
SELECT pg_temp.by('t_ann', format('SELECT token_id FROM claiim.rotate_token(%L, ''0'')', :'c')) AS d \gset
SELECT ok((pg_temp.token(:'c')).expires_at <= clock_timestamp(), 'with no overlap the old one is not valid from now on');
SELECT is(pg_temp.about((pg_temp.token(:'d')).expires_at, clock_timestamp()), '2 days', 'what is valid for so long by rotation passes that on');
SELECT pg_temp.by('t_ann', format('SELECT token_id FROM claiim.rotate_token(%L, ''1 year'')', :'d')) AS e \gset
SELECT is(pg_temp.about((pg_temp.token(:'d')).expires_at, clock_timestamp()), '2 days', 'no overlap makes the old one live longer than it would have');

SELECT pg_temp.by('t_ann', $$SELECT token_id FROM claiim.issue_token('bot')$$) AS forever \gset
SELECT pg_temp.by('t_ann', format('SELECT token_id FROM claiim.rotate_token(%L)', :'forever')) AS forever2 \gset
SELECT is((pg_temp.token(:'forever2')).expires_at, NULL, 'in the place of one that does not expire comes one that does not');
SELECT is(pg_temp.about((pg_temp.token(:'forever')).expires_at, clock_timestamp()), '1 hour', 'while that one now does');
SELECT is((SELECT networks IS NULL AND label IS NULL FROM claiim.tokens WHERE token = :'forever2'), true, 'nor is it bound where that was not');

SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L)', :'a'), '55000', format('token %s has been rotated already', :'a'), 'a token is rotated once');
SELECT is(pg_temp.whole_error_by('t_ann', format('SELECT claiim.rotate_token(%L)', :'a')) LIKE format('%%Token %s took its place.%%', :'b'), true, 'and the error names the one in its place');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L)', :'c'), '55000', format('token %s has been rotated already', :'c'), 'also when its overlap is over');
SELECT pg_temp.by('t_ann', $$SELECT token_id FROM claiim.issue_token('bot', interval '1 us')$$) AS short \gset
SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L)', :'short'), '55000', format('token %s has expired', :'short'), 'one that has expired is not rotated');
SELECT pg_temp.by('t_ann', $$SELECT token_id FROM claiim.issue_token('bot')$$) AS gone \gset
SELECT pg_temp.by('t_ann', format('SELECT claiim.revoke_token(%L, ''lost'')', :'gone'));
SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L)', :'gone'), '55000', format('token %s is revoked', :'gone'), 'nor one that is revoked');
SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L, %s)', :'e', given), code, message, name)
FROM (VALUES
	('NULL', '22004', 'overlap must not be null', 'an overlap is given'),
	('''-1 s''', '22023', 'the overlap must not be negative or without an end', 'and not negative'),
	('''1 hour'', ''0''', '22023', 'a token must be valid for some time', 'a token is valid for some time'),
	('''1 hour'', ''-1 day''', '22023', 'a token must be valid for some time', 'and does not expire before it is issued')
) AS v (given, code, message, name);
SELECT is((SELECT count(*) FROM claiim.tokens WHERE replaces = :'e'), 0::bigint, 'what was refused has left nothing');
SELECT pg_temp.refused('t_ann', 'SELECT claiim.rotate_token(NULL)', '22004', 'token identifier must not be null', 'it takes an identifier');

/* ---- whose tokens ---- */

SELECT pg_temp.refused(role::name, format(statement, :'e'), '42501', NULL, format('%s: %s', role, statement))
FROM unnest('{t_eve,t_fred,t_aud,t_mem,t_nobody,t_bot}'::text[]) AS role,
	unnest(ARRAY['SELECT claiim.rotate_token(%L)', 'SELECT claiim.revoke_token(%L, ''x'')', 'SELECT claiim.issue_token(''bot'') -- %L']) AS statement;
SELECT is(pg_temp.whole_error_by('t_eve', format('SELECT claiim.rotate_token(%L)', :'e')),
	pg_temp.whole_error_by('t_eve', 'SELECT claiim.rotate_token(''ctk_00000000000000000000000000'')'),
	'another organization''s admin does not learn whether there is such a token');
SELECT is(strpos(pg_temp.whole_error_by('t_ann', format(statement, :'b_token')), right(:'b_token', 43)), 0, 'a token in the place of its identifier is not repeated: ' || statement)
FROM unnest(ARRAY['SELECT claiim.rotate_token(%L)', 'SELECT claiim.revoke_token(%L, ''x'')', 'SELECT claiim.issue_token(''bot'', label => %L)']) AS statement;
SELECT pg_temp.by('t_ann', $$SELECT token_id FROM claiim.issue_token('late-bot')$$) AS late \gset
SELECT pg_temp.both('t_ann', 't_bob', $$SELECT claiim.retire_agent('late-bot', 'old')$$);
SELECT pg_temp.refused('t_ann', format('SELECT claiim.rotate_token(%L)', :'late'), '55000', 'agent "late-bot" is retired', 'a token of a retired agent is not rotated');
SELECT is(pg_temp.whole_error_by('t_ann', format('SELECT claiim.revoke_token(%L, ''old'')', :'late')), NULL, 'but revoked');
SELECT pg_temp.by('t_ann', $$SELECT claiim.suspend_agent('bot', 'x')$$);
SELECT is(pg_temp.whole_error_by('t_ann', format('SELECT claiim.rotate_token(%L)', :'forever2')), NULL, 'one of a suspended agent is: the token may be why');

/* ---- revoking ---- */

SELECT pg_temp.by('t_bob', format('SELECT claiim.revoke_token(%L, ''leaked'')', :'a'));
SELECT results_eq(format('SELECT revoked_by, revoked_at IS NOT NULL FROM claiim.tokens WHERE token = %L', :'a'), $$VALUES ('bob', true)$$, 'who revoked a token is kept');
SELECT is((pg_temp.token(:'b')).revoked_at, NULL, 'what took its place stays valid');
SELECT is(pg_temp.detail('token.revoke'), jsonb_build_object('token', :'a', 'reason', 'leaked'), 'the act has the reason');

/* ---- the list ---- */

SELECT is((SELECT string_agg(status, ' ' ORDER BY o) FROM unnest(ARRAY[:'e', :'d', :'c', :'gone', :'a', :'short']) WITH ORDINALITY AS v (id, o) JOIN claiim.token_registry ON token_id = id),
	'valid rotated expired revoked revoked expired', 'a token is valid, rotated, expired or revoked');
SELECT results_eq(format('SELECT org, label, issued_by, replaces, rotated_to, rotated_by, rotated_at = (SELECT issued_at FROM claiim.tokens WHERE token = %L) FROM claiim.token_registry WHERE token_id = %L', :'c', :'b'),
	format($$VALUES ('acme', 'ci', 'bob', %L, %L, 'ann', true)$$, :'a', :'c'), 'the list has what it replaces, and what, who and when replaced it');
SELECT is((SELECT count(*) FROM claiim.token_registry), (SELECT count(*) FROM claiim.tokens), 'a superuser sees all');
SELECT is(pg_temp.by(role::name, 'SELECT count(*)::text FROM claiim.token_registry'), wanted::text, role || ' sees ' || wanted)
FROM (VALUES ('t_ann', (SELECT count(*) FROM claiim.tokens)), ('t_aud', (SELECT count(*) FROM claiim.tokens)), ('t_fred', (SELECT count(*) FROM claiim.tokens)),
	('t_eve', 0), ('t_nobody', 0)) AS v (role, wanted);
SELECT is(pg_temp.whole_error_by(role::name, 'SELECT * FROM claiim.token_registry') LIKE '42501 |%', true, role || ' cannot read it')
FROM unnest('{t_mem,t_bot}'::text[]) AS role;
SELECT is(pg_temp.whole_error_by('t_ann', 'SELECT digest FROM claiim.tokens') LIKE '42501 |%', true, 'nobody reads a digest');
SELECT hasnt_column('claiim', 'token_registry', 'digest', 'nor is it in the list');
SELECT is(pg_temp.whole_error_by(role::name, statement) LIKE '42501 |%', true, role || ': ' || statement)
FROM unnest('{t_ann,t_aud,t_bot}'::text[]) AS role,
	unnest(ARRAY['INSERT INTO claiim.token_uses VALUES (''x'', now())', 'UPDATE claiim.token_uses SET last_used_at = now()', 'DELETE FROM claiim.token_uses',
		'UPDATE claiim.tokens SET expires_at = NULL']) AS statement;
COMMIT;
/* Committed, since what only a transaction that has governed may do is no question here. */
SELECT throws_ok(statement, '42501', NULL, 'a superuser neither: ' || statement)
FROM unnest(ARRAY['INSERT INTO claiim.token_uses VALUES (''x'', now())', 'UPDATE claiim.tokens SET revoked_at = NULL, revoked_by = NULL', 'DELETE FROM claiim.tokens',
	'INSERT INTO claiim.tokens SELECT * FROM claiim.tokens']) AS statement;

/* ---- secrets ---- */

CREATE TEMP TABLE secrets AS
	SELECT unnest(ARRAY[right(:'a_token', 43), left(right(:'a_token', 43), 20), right(:'b_token', 43), left(right(:'b_token', 43), 20)]) AS secret;
CREATE TEMP TABLE found (place text);
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'claiim'::regnamespace AND c.relkind IN ('r', 'v') LOOP
		EXECUTE format('INSERT INTO found SELECT %L FROM %s x, secrets s WHERE strpos(x::text, s.secret) > 0', t, t);
	END LOOP;
END
$$;
SELECT is((SELECT string_agg(place, ' ') FROM found), NULL, 'the secret part of a token is in no table and no view');

SELECT * FROM finish();
