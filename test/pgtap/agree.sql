/*
 * agree.sql
 *	  What is listed and what is foretold is what the gate then says: random
 *	  policies, baselines and targets, asked about random names.
 *
 *	  claiim_permissions: whoever matches a row, and none of its exceptions, is
 *	  allowed, inside a session where it says so; whoever matches none is not.
 *	  claiim.what_if: for whom there is a row, it changes like that; for all
 *	  others it does not.
 *
 * The same is done without a server, a thousand times more, by
 * test/unit/test_space.c; here it goes through tables, caches and epochs.
 * SEED=n in the environment repeats one.
 */
\ir include/helpers.sql
SELECT no_plan();

\set seed `echo ${SEED:-$$}`
SELECT setseed(1.0 / (1 + :seed::int % 32768)) \g /dev/null
SELECT 'CREATE ROLE t_' || r || ' LOGIN' FROM unnest('{ann,bob,bot}'::text[]) r \gexec
SELECT claiim.bootstrap('hub', 'ann', 't_ann', 'bob', 't_bob') \g /dev/null
SELECT pg_temp.both('t_ann', 't_bob', $$register_org('hub/sub')$$),
	pg_temp.both('t_ann', 't_bob', $$register_agent('bot', 'hub/sub', 'ann', '{s}', 't_bot')$$),
	pg_temp.by('t_ann', $$SELECT claiim.publish_skill('s', 'actions: ["**"]', 'hub')$$),
	pg_temp.both('t_ann', 't_bob', $$propose_session('bot', '{**}', '{**}', 'all of it')$$) \g /dev/null

/* One to three segments of few words; a pattern has wildcards as well. */
CREATE FUNCTION pg_temp.some_name(separator text, is_pattern boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	segments text[] := '{}';
	n integer := 1 + floor(random() * 3);
	kind integer;
BEGIN
	FOR i IN 1 .. n LOOP
		kind := floor(random() * 8);
		segments := segments || CASE
			WHEN is_pattern AND kind = 0 AND i = n THEN '**'
			WHEN is_pattern AND kind <= 2 THEN '*'
			ELSE (ARRAY['a', 'b', 'c', CASE WHEN is_pattern THEN 'a' ELSE 'else' END])[1 + floor(random() * 4)::int] END;
	END LOOP;
	RETURN array_to_string(segments, separator);
END
$$;
CREATE FUNCTION pg_temp.some_list(key text, sessions boolean) RETURNS text LANGUAGE sql AS $$
	SELECT key || E':\n' || coalesce(string_agg(format(E'  - {action: "%s"%s%s}\n', e.action,
		', target: "' || e.target || '"', CASE WHEN e.session THEN ', requires: session' END), ''), '')
	FROM (SELECT DISTINCT pg_temp.some_name(':', true) AS action,
			CASE WHEN random() < 0.5 THEN pg_temp.some_name('/', true) END AS target,
			sessions AND random() < 0.3 AS session
		  FROM generate_series(1, 1 + floor(random() * 5)::int)) AS e
$$;
/* A policy version that has not been bound; a document has each entry once. */
CREATE FUNCTION pg_temp.some_policy(name text, head text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			RETURN pg_temp.by('t_ann', format('SELECT claiim.publish_policy(%L, %L, ''hub'')', name,
				head || pg_temp.some_list('allow', true) || CASE WHEN random() < 0.7 THEN pg_temp.some_list('deny', false) ELSE '' END
				|| format('# %s', clock_timestamp())));
		EXCEPTION WHEN invalid_parameter_value THEN
			CONTINUE WHEN SQLERRM ~ 'twice|duplicate|already';
			RAISE;
		END;
	END LOOP;
END
$$;
/* As doc/policies.md says it: * is one segment, ** the rest, of at least one. */
CREATE FUNCTION pg_temp.matches(pattern text, name text, separator text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT name ~ ('^(' || replace(replace(replace(pattern, '**', '#'), '*', '[^' || separator || ']*'), '#', '.*') || ')$')
$$;
CREATE FUNCTION pg_temp.is_in(action_pattern text, target_pattern text, exceptions text[], action text, target text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT pg_temp.matches(action_pattern, action, ':') AND pg_temp.matches(target_pattern, target, '/')
		AND NOT EXISTS (SELECT FROM unnest(exceptions) e
			WHERE pg_temp.matches(split_part(e, ' on ', 1), action, ':')
				AND pg_temp.matches(coalesce(nullif(split_part(e, ' on ', 2), ''), '**'), target, '/'))
$$;

CREATE TEMP TABLE asked (n serial, action text, target text, before text, after text);
CREATE TEMP TABLE listed (action text, target text, condition text, exceptions text[]);
CREATE TEMP TABLE foretold (effect text, action text, target text, exceptions text[]);
CREATE TEMP TABLE found (round integer, what text, action text, target text, policy text);

/* What the gate says to all that is asked: ALLOW, session, DENY, or that it is not the agent's business. */
CREATE FUNCTION pg_temp.answers() RETURNS text[] LANGUAGE sql AS $$
	SELECT pg_temp.by('t_bot', format($q$
		SELECT array_agg(CASE WHEN reason_code IN ('org_boundary', 'target_unmapped') THEN 'elsewhere'
			WHEN outcome = 'ALLOW' AND session IS NOT NULL THEN 'session' ELSE outcome END ORDER BY ordinality)
		FROM claiim_check_many('bot', %L, %L) WITH ORDINALITY$q$,
		(SELECT array_agg(action ORDER BY n) FROM pg_temp.asked), (SELECT array_agg(target ORDER BY n) FROM pg_temp.asked)))::text[]
$$;

CREATE PROCEDURE pg_temp.rounds(n integer) LANGUAGE plpgsql AS $$
DECLARE
	policy text;
	pattern text;
	verdicts text[];
BEGIN
	FOR round IN 1 .. n LOOP
		/* Whose the targets are, and what binds all, changes now and then. */
		IF round % 4 = 1 THEN
			FOR pattern IN SELECT t.pattern FROM claiim.targets t LOOP
				PERFORM pg_temp.both('t_ann', 't_bob', format('unmap_target(%L)', pattern));
			END LOOP;
			PERFORM pg_temp.both('t_ann', 't_bob', format('map_target(%L, %L)', x.pattern, x.org))
			FROM (SELECT DISTINCT ON (v.pattern) v.pattern, v.org
				  FROM (SELECT pg_temp.some_name('/', true), CASE WHEN random() < 0.5 THEN 'hub/sub' ELSE 'hub' END
						FROM generate_series(1, 4)
						UNION ALL
						SELECT CASE WHEN round % 8 = 1 THEN '**' ELSE 'a/**' END, 'hub/sub') AS v (pattern, org)) AS x;
			PERFORM pg_temp.both('t_ann', 't_bob', format('unbind_baseline(%L)', b.org)) FROM claiim.bindings b WHERE b.org IS NOT NULL;
			PERFORM pg_temp.both('t_ann', 't_bob', format('bind_baseline(%L, %L)', o, pg_temp.some_policy('base', '')))
			FROM unnest('{hub,hub/sub}'::text[]) o WHERE random() < 0.4;
		END IF;
		policy := pg_temp.some_policy('p', E'skill: s-v1\n');
		COMMIT;

		TRUNCATE pg_temp.asked, pg_temp.listed, pg_temp.foretold RESTART IDENTITY;
		INSERT INTO pg_temp.asked (action, target)
		SELECT pg_temp.some_name(':', false), pg_temp.some_name('/', false) FROM generate_series(1, 60);
		verdicts := pg_temp.answers();
		UPDATE pg_temp.asked a SET before = verdicts[a.n];
		INSERT INTO pg_temp.foretold
		SELECT * FROM jsonb_to_recordset(pg_temp.by('t_ann', format('SELECT coalesce(jsonb_agg(w), ''[]'') FROM claiim.what_if(''bot'', %L) w', policy))::jsonb)
			AS x (effect text, action text, target text, exceptions text[]);
		COMMIT;

		PERFORM pg_temp.both('t_ann', 't_bob', format('bind_policy(''bot'', %L)', policy));
		COMMIT;
		verdicts := pg_temp.answers();
		UPDATE pg_temp.asked a SET after = verdicts[a.n];
		INSERT INTO pg_temp.listed
		SELECT * FROM jsonb_to_recordset(pg_temp.by('t_bot', 'SELECT coalesce(jsonb_agg(p), ''[]'') FROM claiim_permissions(''bot'') p')::jsonb)
			AS x (action text, target text, condition text, exceptions text[]);

		INSERT INTO pg_temp.found
		SELECT round, format('is listed as %s, and is %s', l.verdicts, a.after), a.action, a.target, policy
		FROM pg_temp.asked a, LATERAL (
			SELECT coalesce(string_agg(DISTINCT coalesce(x.condition, 'ALLOW'), '?'), 'DENY') AS verdicts FROM pg_temp.listed x
			WHERE pg_temp.is_in(x.action, x.target, x.exceptions, a.action, a.target)) AS l
		WHERE a.after <> 'elsewhere' AND a.after <> l.verdicts;
		INSERT INTO pg_temp.found
		SELECT round, format('%s is foretold, and was %s and is %s', f.effects, a.before, a.after), a.action, a.target, policy
		FROM pg_temp.asked a, LATERAL (
			SELECT coalesce(string_agg(DISTINCT x.effect, '?'), 'nothing') AS effects FROM pg_temp.foretold x
			WHERE pg_temp.is_in(x.action, x.target, x.exceptions, a.action, a.target)) AS f
		WHERE a.after <> 'elsewhere' AND f.effects <> CASE
			WHEN a.before = a.after THEN 'nothing' WHEN a.before = 'DENY' THEN 'newly allowed'
			WHEN a.after = 'DENY' THEN 'newly denied' ELSE 'changed' END;
		INSERT INTO pg_temp.found SELECT round, 'cut off', NULL, NULL, policy FROM pg_temp.foretold WHERE effect = 'cut off';
		INSERT INTO pg_temp.found SELECT 0, coalesce(nullif(after, before), 'same'), count(*)::text, NULL, NULL FROM pg_temp.asked GROUP BY 2;
		COMMIT;
	END LOOP;
END
$$;
CALL pg_temp.rounds(60);

SELECT is((SELECT count(*) FROM found WHERE round > 0), 0::bigint, format('what is listed and what is foretold is what the gate says (seed %s)', :seed));
SELECT diag(concat_ws(' ', 'round', f.round, f.action, 'on', f.target, f.what, 'under', f.policy, v.source)) FROM found f LEFT JOIN claiim.policy_versions v ON v.name = f.policy
WHERE f.round > 0 LIMIT 5;
SELECT cmp_ok((SELECT sum(action::int) FROM found WHERE round = 0 AND what = v), '>', 5::bigint, format('... of which enough became: %s', v))
FROM unnest('{ALLOW,session,DENY,same}'::text[]) v;
SELECT * FROM finish();
