/*-------------------------------------------------------------------------
 *
 * 02_names.sql
 *	  What names look like.
 *
 * One predicate a kind of name, used by the tables' CHECK constraints and by
 * the functions that give friendlier errors, so that the two cannot differ.
 * Names are plain ASCII: they stand in reasons, in comma separated lists and
 * in auditors' reports, where a look-alike letter would be a forgery.
 *
 *-------------------------------------------------------------------------
 */

CREATE FUNCTION claiim._is_name(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT value ~ '^[A-Za-z0-9][A-Za-z0-9_.@+-]*$'
		AND octet_length(value) <= 128;
$$;
COMMENT ON FUNCTION claiim._is_name(text) IS
'Whether value can name an agent or a human: a letter or digit, then letters, digits and _ . @ + -, at most 128 bytes. NULL gives NULL.';

CREATE FUNCTION claiim._is_org_path(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT value ~ '^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*$'
		AND octet_length(value) <= 128;
$$;
COMMENT ON FUNCTION claiim._is_org_path(text) IS
'Whether value can name an organization: a path such as acme or acme/finance, of lowercase letters, digits and _ . -, at most 128 bytes. NULL gives NULL.';

CREATE FUNCTION claiim._is_document_name(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT value ~ '^[a-z0-9][a-z0-9_.-]*$'
		AND value !~ '-v[0-9]+$'
		AND octet_length(value) <= 100;
$$;
COMMENT ON FUNCTION claiim._is_document_name(text) IS
'Whether value can name a skill or a policy: lowercase letters, digits and _ . -, at most 100 bytes, and not ending in -v and digits, which is how versions are named. NULL gives NULL.';

CREATE FUNCTION claiim._covers(above text, below text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT above = below OR starts_with(below, above || '/');
$$;
COMMENT ON FUNCTION claiim._covers(text, text) IS
'Whether organization below is organization above or lies under it: acme covers acme/finance, not acmex. NULL gives NULL.';
