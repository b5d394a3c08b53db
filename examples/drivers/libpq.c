/*
 * May the agent do this, now?  Exit status 0: ALLOW.  1: DENY.  2: no answer,
 * and so no.
 *
 *	 cc -I$(pg_config --includedir) -o check libpq.c -lpq
 *	 ./check AGENT ACTION TARGET && the action
 *
 * It connects as libpq does (PGHOST, PGUSER, ...).  A role that is bound to the
 * agent needs no token; else it is in CLAIIM_TOKEN.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	PGconn	   *conn = PQconnectdb("");
	const char *values[4] = {argv[1], argc == 4 ? argv[2] : NULL,
	argc == 4 ? argv[3] : NULL, getenv("CLAIIM_TOKEN")};	/* bound, never in the text */
	PGresult   *result = PQexecParams(conn,
									  "SELECT outcome, chron_id, reason"
									  " FROM pg_catalog.claiim_check($1, $2, $3, token => $4)",
									  4, NULL, values, NULL, NULL, 0);
	int			status = 2;

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
	{
		status = strcmp(PQgetvalue(result, 0, 0), "ALLOW") == 0 ? 0 : 1;
		printf("%s %s %s\n", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2));
	}
	else
		fprintf(stderr, "no answer: %s", PQerrorMessage(conn));
	PQclear(result);
	PQfinish(conn);
	return status;
}
