/*
 * encoding.sql
 *	  A database that is not encoded in UTF8 does not get the extension.
 *
 * Needs a superuser, and leaves its database behind.
 */
\set QUIET 1
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only true
\pset pager off
CREATE DATABASE t_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0;
\c t_ascii
SET client_min_messages = warning;
CREATE EXTENSION pgtap;

SELECT plan(4);
SELECT throws_ok('CREATE EXTENSION claiim CASCADE', '55000',
	'claiim needs a database encoded in UTF8, not SQL_ASCII', 'CREATE EXTENSION refuses a database that is not encoded in UTF8');
SELECT hasnt_extension('claiim', 'and leaves no extension');
SELECT hasnt_schema('claiim', 'no schema');
SELECT hasnt_extension('pgcrypto', 'and nothing of what CASCADE would have made');
SELECT * FROM finish();
