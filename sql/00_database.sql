/*-------------------------------------------------------------------------
 *
 * 00_database.sql
 *	  What the database has to be, said before anything is made in it.
 *
 * Names, documents and Chron's bytes are UTF-8.  The gate says so as well
 * (catalog.c), in the same words, but by then a registry would have grown.
 *
 *-------------------------------------------------------------------------
 */

DO $$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'claiim needs a database encoded in UTF8, not %',
				pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Use a database made with CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
	END IF;
END
$$;
