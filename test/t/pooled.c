/*
 * One client of a pool, for 025_pgbouncer.pl: it asks, governs, and misbehaves
 * at random, and notes every answer that it is given.
 *
 *	 pooled KIND CONNINFO NAME SELF OTHER CALLS SEED MAY-VANISH
 *
 * KIND: how it proves to be the agent SELF: by a "token" with each call, by a
 * "transaction" that authenticates, by its "role"; or it is the "human" SELF.
 * OTHER is another agent, or human.  MAY-VANISH: 1 if it also disconnects where
 * it stands.  The token is in POOLED_TOKEN, the database role that it logs in
 * with in POOLED_ROLE.  It ends when CALLS answers have been noted.
 *
 * A note is a line on standard output, tabs between: NAME, how it was proved
 * ("-" if it was not), agent, the token's id or "-", role, action, target,
 * outcome, chron_id, backend, anchor.  A human's: NAME, "act", act, role,
 * subject, change; or NAME, "refused", change.  What should not have happened is a line on
 * standard error.
 *
 * Every target is asked for once, so that a record says which call it is of.
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool by_token;
static bool by_transaction;
static bool by_role;
static bool may_vanish;
static const char *kind;
static const char *conninfo;
static const char *name;
static const char *self;
static const char *other;
static const char *token;
static const char *role;
static char token_id[31] = "-";	/* ctk_ and 26 characters */
static PGconn *conn;
static int	wanted;
static int	noted;
static int	asked;

static int
roll(int sides)
{
	return (int) (random() % sides);
}

static void
wrong(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s: %s\n", name, what, detail);
}

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

static void
reconnect(void)
{
	PQfinish(conn);
	for (int tries = 0;; tries++)
	{
		conn = PQconnectdb(conninfo);
		PQsetNoticeProcessor(conn, ignore_notice, NULL);
		if (PQstatus(conn) == CONNECTION_OK)
			return;
		if (tries == 50)
		{
			wrong("no connection", PQerrorMessage(conn));
			exit(1);
		}
		PQfinish(conn);
		usleep(100000);
	}
}

static bool
failed_with(PGresult *result, const char *state)
{
	const char *seen = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return seen != NULL && strcmp(seen, state) == 0;
}

/*
 * An error that was not expected.  A cancel that comes late hits whatever the
 * server is doing by then, another client's statement as well: that is an
 * error there, and spoils a transaction, but is nobody's fault.
 */
static void
complain(const char *what, PGresult *result)
{
	if (!failed_with(result, "57014") && !failed_with(result, "25P02"))
		wrong(what, PQresultErrorMessage(result));
	if (PQstatus(conn) != CONNECTION_OK)
		reconnect();
}

/* A statement with up to two parameters; false if it failed. */
static bool
run(const char *sql, const char *p1, const char *p2)
{
	const char *values[2] = {p1, p2};
	PGresult   *result = PQexecParams(conn, sql, p2 ? 2 : p1 ? 1 : 0, NULL,
									  values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	bool		ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		complain(sql, result);
	PQclear(result);
	return ok;
}

/* What may fail, and leave whatever it likes behind. */
static void
try(const char *sql)
{
	PQclear(PQexec(conn, sql));
	if (PQstatus(conn) != CONNECTION_OK)
		reconnect();
}

#define CHECK \
	"SELECT outcome, chron_id, anchor, pg_catalog.pg_backend_pid()" \
	" FROM claiim_check($1, $2, $3, token => $4)"

/* Sends the question, as agent, for a target of its own. */
static void
send_question(const char *agent, const char *with, bool allowed, char *target)
{
	const char *values[4] = {agent, allowed ? "deploy:staging" : "deploy:production",
	target, with};

	sprintf(target, "pool/%s/%d", name, ++asked);
	if (!PQsendQueryParams(conn, CHECK, 4, NULL, values, NULL, NULL, 0))
		wrong("not sent", PQerrorMessage(conn));
}

/* Takes the answer, if there is one, and notes it. */
static void
take_answer(const char *agent, const char *proof, bool allowed, const char *target)
{
	bool		proved = strcmp(proof, "-") != 0;
	const char *expected = allowed && proved ? "ALLOW" : "DENY";
	PGresult   *result;

	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		{
			if (strcmp(PQgetvalue(result, 0, 0), expected) != 0)
				wrong(target, PQgetvalue(result, 0, 0));
			printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, proof, agent,
				   proved && !by_role ? token_id : "-", role,
				   allowed ? "deploy:staging" : "deploy:production", target,
				   PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
				   PQgetvalue(result, 0, 3), PQgetvalue(result, 0, 2));
			fflush(stdout);
			noted++;
		}
		else
			complain(target, result);
		PQclear(result);
	}
}

static void
ask(const char *agent, const char *with, const char *proof)
{
	char		target[100];
	bool		allowed = roll(4) != 0;

	send_question(agent, with, allowed, target);
	take_answer(agent, proof, allowed, target);
}

/* Asks as itself, in the way of its kind. */
static void
ask_proved(void)
{
	ask(self, by_token ? token : NULL, kind);
}

/* What nobody may be taken for, whoever had the connection before. */
static void
ask_unproved(void)
{
	switch (roll(3))
	{
		case 0:
			ask(other, NULL, "-");
			break;
		case 1:
			ask(other, token, "-");
			break;
		default:
			ask(by_role ? other : self, NULL, "-");
	}
}

static bool
begin(void)
{
	return run("BEGIN", NULL, NULL) &&
		(!by_transaction ||
		 run("SELECT claiim_authenticate($1, $2)", self, token));
}

/* Authenticates inside a savepoint, which goes, or stays. */
static void
authenticate_in_savepoint(void)
{
	bool		stays = roll(2);

	if (run("BEGIN", NULL, NULL) && run("SAVEPOINT s", NULL, NULL) &&
		run("SELECT claiim_authenticate($1, $2)", self, token))
	{
		ask_proved();
		if (run(stays ? "RELEASE s" : "ROLLBACK TO s", NULL, NULL))
		{
			if (stays)
				ask_proved();
			else
				ask(self, NULL, "-");
		}
	}
	try("COMMIT");
}

/* In a session that is not its own alone, and that it leaves as it is. */
static void
leave_something_behind(void)
{
	static const char *const things[] = {
		"SET ROLE costume", "RESET ROLE", "SET search_path = evil", "RESET search_path",
		"SET my.agent = 'agent-b'", "SET claiim.agent = 'agent-b'", "SET application_name = 'agent-a'",
		"SET SESSION AUTHORIZATION agent_a", "SET SESSION AUTHORIZATION ann",
		"PREPARE ask AS SELECT * FROM claiim_check('agent-b', 'deploy:staging', 'x')", "DEALLOCATE ask",
		"CREATE TEMP TABLE IF NOT EXISTS claiim_check (agent text)", "DISCARD TEMP",
		"BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT 1; COMMIT", "LISTEN everything",
		"SET default_transaction_isolation = 'serializable'", "RESET default_transaction_isolation",
		"SET default_transaction_read_only = on", "RESET default_transaction_read_only"
	};

	try(things[roll(sizeof(things) / sizeof(*things))]);
}

/* Sent, and called off a moment later: an answer, or none. */
static void
cancel(void)
{
	char		error[256];
	char		target[100];
	bool		ready = !by_transaction || begin();
	PGcancel   *call_off = PQgetCancel(conn);

	if (ready)
	{
		send_question(self, by_token ? token : NULL, true, target);
		usleep(roll(1500));
		if (!PQcancel(call_off, error, sizeof(error)))
			wrong("cancel", error);
		take_answer(self, kind, true, target);
	}
	PQfreeCancel(call_off);
	try("ROLLBACK");
}

/* Gone in the middle of a transaction, or while a question is being decided. */
static void
vanish(void)
{
	char		target[100];

	if (begin())
	{
		ask_proved();
		if (roll(2))
			send_question(self, by_token ? token : NULL, true, target);
	}
	reconnect();
}

static void
be_an_agent(void)
{
	int			what = roll(100);

	if (what < 45 && !by_transaction)
		ask_proved();
	else if (what < 65)
	{
		/* done, or undone: the decision stands */
		if (begin())
		{
			for (int calls = 1 + roll(3); calls > 0; calls--)
				ask_proved();
			if (roll(4) == 0)
				ask(other, NULL, "-");
		}
		try(roll(2) ? "COMMIT" : "ROLLBACK");
	}
	else if (what < 75)
	{
		if (by_transaction)
			authenticate_in_savepoint();
		else if (begin() && run("SAVEPOINT s", NULL, NULL))
		{
			ask_proved();
			if (run("ROLLBACK TO s", NULL, NULL))
				ask_proved();
			try("COMMIT");
		}
	}
	else if (what < 80)
	{
		/* an error of the caller's own, after the answer */
		if (begin())
			ask_proved();
		try("SELECT 1 / 0");
		try("ROLLBACK");
	}
	else if (what < 90)
		ask_unproved();
	else if (what < 92 && by_transaction)
	{
		/* authenticated, and the transaction is over already */
		run("SELECT claiim_authenticate($1, $2)", self, token);
		ask(self, NULL, "-");
	}
	else if (what < 95)
		leave_something_behind();
	else if (what < 98)
		cancel();
	else if (may_vanish)
		vanish();
}

/* Proposes, approves what another proposed, and tries to approve its own. */
static void
be_a_human(void)
{
	char		subject[100];
	PGresult   *result;
	bool		own = roll(4) == 0;
	const char *values[1] = {own ? self : other};

	sprintf(subject, "%s/%d", name, ++asked);
	if (roll(2))
	{
		values[0] = subject;
		result = PQexecParams(conn, "SELECT claiim.map_target($1, 'acme')", 1, NULL, values, NULL, NULL, 0);
		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			printf("%s\tact\tpropose\t%s\t%s\t%s\n", name, role, subject, PQgetvalue(result, 0, 0));
		else
			complain("map_target", result);
		PQclear(result);
		noted++;
		return;
	}
	result = PQexecParams(conn,
						  "SELECT change, subject FROM claiim.pending_changes"
						  " WHERE proposed_by = $1 ORDER BY random() LIMIT 1", 1, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
	{
		const char *change[1] = {PQgetvalue(result, 0, 0)};
		PGresult   *approved = PQexecParams(conn, "SELECT claiim.approve($1)", 1, NULL, change, NULL, NULL, 0);

		if (PQresultStatus(approved) == PGRES_TUPLES_OK)
		{
			if (own)
				wrong("approved what it proposed", change[0]);
			printf("%s\tact\tapprove\t%s\t%s\t%s\n", name, role, PQgetvalue(result, 0, 1), change[0]);
			noted++;
		}
		else if (own && failed_with(approved, "42501"))
			printf("%s\trefused\t%s\n", name, change[0]);
		else if (!own || !failed_with(approved, "55000"))	/* applied meanwhile */
			complain("approve", approved);
		PQclear(approved);
	}
	else if (PQresultStatus(result) != PGRES_TUPLES_OK)
		complain("pending_changes", result);
	PQclear(result);
}

int
main(int argc, char **argv)
{
	token = getenv("POOLED_TOKEN");
	role = getenv("POOLED_ROLE");
	if (argc != 9 || role == NULL)
	{
		fprintf(stderr, "usage: pooled KIND CONNINFO NAME SELF OTHER CALLS SEED MAY-VANISH\n");
		return 2;
	}
	kind = argv[1];
	conninfo = argv[2];
	name = argv[3];
	self = argv[4];
	other = argv[5];
	wanted = atoi(argv[6]);
	srandom((unsigned) atoi(argv[7]));
	may_vanish = atoi(argv[8]);
	by_token = strcmp(kind, "token") == 0;
	by_transaction = strcmp(kind, "transaction") == 0;
	by_role = strcmp(kind, "role") == 0;
	if (token != NULL)
		memcpy(token_id, token, 30);

	reconnect();
	while (noted < wanted)
	{
		if (strcmp(kind, "human") == 0)
			be_a_human();
		else
			be_an_agent();
		usleep(roll(2000));
	}
	PQfinish(conn);
	return 0;
}
