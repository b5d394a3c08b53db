/*-------------------------------------------------------------------------
 *
 * chron_beside.c
 *	  Comparing what stands beside Chron with what Chron says of it.
 *
 * The writer keeps four tables in the transactions in which it writes
 * records: contexts, completions, session_uses and logs.  The gate and the
 * auditors' views go by them, and no hash covers them.  But all that the gate
 * goes by there follows from the records, so whoever changes a row, removes
 * or adds one is found by the records, which cannot be changed to fit.
 *
 * Rows of the first three kinds belong to one record each, by its number.
 * They are read in that order while the chain is walked, so that each is
 * looked at once, and under the snapshot of the walk, which sees a record and
 * its rows or neither.  The uses of sessions are counted, and compared in the
 * end.
 *
 * What Chron does not say is not looked at: logs.chron_oid and .opened_at,
 * and whether a context that is absent was erased by those who may.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define FETCH_ROWS	1000

typedef enum BesideTable
{
	BESIDE_COMPLETIONS,
	BESIDE_CONTEXTS,
	BESIDE_LOGS
} BesideTable;

#define BESIDE_LAST BESIDE_LOGS

/* The first column is the number of the record that a row belongs to. */
static const struct
{
	const char *name;
	const char *rows;
	const char *count;
}			tables[] =
{
	[BESIDE_COMPLETIONS] = {
		"completions",
		"SELECT completion_seq, seq, org, at, status"
		" FROM claiim.completions ORDER BY completion_seq",
		"SELECT count(*) FROM claiim.completions"
	},
	[BESIDE_CONTEXTS] = {
		"contexts",
		"SELECT seq, salt, value FROM claiim.contexts ORDER BY seq",
		"SELECT count(*) FROM claiim.contexts"
	},
	[BESIDE_LOGS] = {
		"logs",
		"SELECT first_seq, log, system_identifier, database_oid"
		" FROM claiim.logs ORDER BY first_seq",
		"SELECT count(*) FROM claiim.logs"
	},
};

/* A table on its way past the chain. */
typedef struct Side
{
	Portal		portal;
	SPITupleTable *rows;		/* fetched; NULL: none yet */
	uint64		nrows;
	uint64		row;			/* the next one */
	int64		seq;			/* its record; PG_INT64_MAX: there is none */
	int64		passed;			/* rows before it */
} Side;

/* What Chron says of a session. */
typedef struct Uses
{
	char		session[CLAIIM_SESSION_ID_LEN + 1]; /* hash key */
	int64		used;
	int64		last_seq;
	TimestampTz last_at;
	bool		agrees;			/* ... and so does the table */
} Uses;

struct ChronBeside
{
	Side		sides[BESIDE_LAST + 1];
	HTAB	   *uses;
	uint8	   *completed;		/* a bit for each record that is */
	int64		completed_size; /* bytes */

	/* Where the columns of a record are; 0: not looked up yet. */
	int			at;
	int			org;
	int			outcome;
	int			session;
	int			context_digest;
	int			act;
	int			subject;
	int			detail;
};

/*
 * Values
 */

static Datum
get(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* Of a text column; NULL is no text. */
static bool
is_text(Datum value, const char *expected, size_t len)
{
	text	   *found = (value == (Datum) 0) ? NULL : DatumGetTextPP(value);

	return found != NULL && VARSIZE_ANY_EXHDR(found) == len &&
		memcmp(VARDATA_ANY(found), expected, len) == 0;
}

static bool
same_text(Datum a, Datum b)
{
	text	   *other = (b == (Datum) 0) ? NULL : DatumGetTextPP(b);

	return other != NULL &&
		is_text(a, VARDATA_ANY(other), VARSIZE_ANY_EXHDR(other));
}

static bool fault(ChronFault *result, int64 seq, const char *format,...)
			pg_attribute_printf(3, 4);

/* Always false, for the caller to return. */
static bool
fault(ChronFault *result, int64 seq, const char *format,...)
{
	va_list		args;

	result->seq = seq;
	va_start(args, format);
	vsnprintf(result->problem, sizeof(result->problem), format, args);
	va_end(args);
	return false;
}

/*
 * Rows of one record each
 */

/* Go to the next row. */
static void
advance(Side *side)
{
	if (side->rows != NULL && side->row < side->nrows)
	{
		side->row++;
		side->passed++;
	}
	if (side->rows == NULL || side->row == side->nrows)
	{
		MemoryContext caller = CurrentMemoryContext;

		SPI_freetuptable(side->rows);
		SPI_cursor_fetch(side->portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(caller);
		side->rows = SPI_tuptable;
		side->nrows = SPI_processed;
		side->row = 0;
	}
	side->seq = (side->nrows == 0) ? PG_INT64_MAX :
		DatumGetInt64(get(side->rows->vals[side->row], side->rows->tupdesc, 1));
}

/* Record that the action of decision "seq" is completed; false if it was. */
static bool
note_completed(ChronBeside *beside, int64 seq)
{
	int64		byte = seq / 8;
	uint8		bit = 1 << (seq % 8);

	if (byte >= beside->completed_size)
	{
		int64		size = Max(byte + 1, beside->completed_size * 2);

		beside->completed = repalloc_huge(beside->completed, size);
		memset(beside->completed + beside->completed_size, 0,
			   size - beside->completed_size);
		beside->completed_size = size;
	}
	if (beside->completed[byte] & bit)
		return false;
	beside->completed[byte] |= bit;
	return true;
}

/* The decision that a completion's record names; 0 if it does not. */
static int64
completed_seq(Datum subject)
{
	text	   *id = (subject == (Datum) 0) ? NULL : DatumGetTextPP(subject);
	int64		at;
	int64		seq;
	const char *why;

	if (id == NULL ||
		!chron_id_decode(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), &at, &seq, &why))
		return 0;
	return seq;
}

/* The column in which a row says something else than its record; NULL: none. */
static const char *
wrong_completion(const ChronBeside *beside, HeapTuple record, TupleDesc desc,
				 HeapTuple row, TupleDesc row_desc)
{
	char	   *status = TextDatumGetCString(get(row, row_desc, 5));
	char	   *detail = psprintf("{\"status\": \"%s\"}", status);

	if (DatumGetInt64(get(row, row_desc, 2)) !=
		completed_seq(get(record, desc, beside->subject)))
		return "seq";
	if (!same_text(get(row, row_desc, 3), get(record, desc, beside->org)))
		return "org";
	if (DatumGetTimestampTz(get(row, row_desc, 4)) !=
		DatumGetTimestampTz(get(record, desc, beside->at)))
		return "at";
	if (!is_text(get(record, desc, beside->detail), detail, strlen(detail)))
		return "status";
	return NULL;
}

static const char *
wrong_context(const ChronBeside *beside, HeapTuple record, TupleDesc desc,
			  HeapTuple row, TupleDesc row_desc)
{
	bytea	   *salt = DatumGetByteaPP(get(row, row_desc, 2));
	text	   *value = DatumGetTextPP(get(row, row_desc, 3));
	uint8		digest[CHRON_HASH_LEN];

	if (VARSIZE_ANY_EXHDR(salt) != CHRON_SALT_LEN)
		return "salt";
	if (!chron_context_digest((uint8 *) VARDATA_ANY(salt),
							  (uint8 *) VARDATA_ANY(value),
							  VARSIZE_ANY_EXHDR(value), digest))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the digest of a context")));
	return is_text(get(record, desc, beside->context_digest), (char *) digest,
				   CHRON_HASH_LEN) ? NULL : "salt or value";
}

static const char *
wrong_log(const ChronBeside *beside, HeapTuple record, TupleDesc desc,
		  HeapTuple row, TupleDesc row_desc)
{
	Datum		detail = get(record, desc, beside->detail);
	char	   *begins;

	if (!same_text(get(row, row_desc, 2), get(record, desc, beside->subject)))
		return "log";
	begins = psprintf("{\"system_identifier\": \"" UINT64_FORMAT
					  "\", \"database_oid\": %u,",
					  (uint64) DatumGetInt64(get(row, row_desc, 3)),
					  DatumGetObjectId(get(row, row_desc, 4)));
	if (detail == (Datum) 0 ||
		strncmp(TextDatumGetCString(detail), begins, strlen(begins)) != 0)
		return "system_identifier or database_oid";
	return NULL;
}

/*
 * The row of a record in one of the tables, which it must have, or may have,
 * or may not.
 */
static bool
check_side(ChronBeside *beside, BesideTable table, bool must, bool may,
		   int64 seq, HeapTuple record, TupleDesc desc, ChronFault *result)
{
	Side	   *side = &beside->sides[table];
	const char *name = tables[table].name;
	const char *wrong = NULL;

	if (side->seq < seq)
		return fault(result, side->seq,
					 "claiim.%s has a row too many for record %lld", name,
					 (long long) side->seq);
	if (side->seq > seq)
		return !must || fault(result, seq, "its row in claiim.%s is missing",
							  name);
	if (!may)
		return fault(result, seq,
					 "claiim.%s has a row for it, which it did not write", name);
	switch (table)
	{
		case BESIDE_COMPLETIONS:
			wrong = wrong_completion(beside, record, desc,
									 side->rows->vals[side->row],
									 side->rows->tupdesc);
			break;
		case BESIDE_CONTEXTS:
			wrong = wrong_context(beside, record, desc,
								  side->rows->vals[side->row],
								  side->rows->tupdesc);
			break;
		case BESIDE_LOGS:
			wrong = wrong_log(beside, record, desc,
							  side->rows->vals[side->row],
							  side->rows->tupdesc);
			break;
	}
	if (wrong != NULL)
		return fault(result, seq,
					 "its row in claiim.%s differs from it in %s",
					 name, wrong);
	advance(side);
	return true;
}

/*
 * Sessions
 */

static void
count_use(ChronBeside *beside, Datum session, int64 seq, TimestampTz at)
{
	char		key[CLAIIM_SESSION_ID_LEN + 1];
	Uses	   *entry;
	bool		found;

	text_to_cstring_buffer(DatumGetTextPP(session), key, sizeof(key));
	entry = hash_search(beside->uses, key, HASH_ENTER, &found);
	if (!found)
		entry->used = 0;
	entry->used++;
	entry->last_seq = seq;
	entry->last_at = at;
	entry->agrees = false;
}

/* What the table says of sessions, against what was counted. */
static bool
check_uses(ChronBeside *beside, ChronFault *result)
{
	HASH_SEQ_STATUS scan;
	Uses	   *entry;
	Uses	   *wrong = NULL;
	Portal		portal;

	portal = SPI_cursor_open_with_args(NULL,
									   "SELECT session, used, last_used_at"
									   " FROM claiim.session_uses",
									   0, NULL, NULL, NULL, true, 0);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			char	   *session = TextDatumGetCString(get(row, desc, 1));

			entry = (strlen(session) > CLAIIM_SESSION_ID_LEN) ? NULL :
				hash_search(beside->uses, session, HASH_FIND, NULL);
			if (entry == NULL || entry->agrees)
			{
				SPI_cursor_close(portal);
				return fault(result, 0,
							 "claiim.session_uses has a row too many, for session %.*s",
							 pg_mbcliplen(session, (int) strlen(session),
										  CLAIIM_SESSION_ID_LEN),
							 session);
			}
			entry->agrees = entry->used == DatumGetInt64(get(row, desc, 2)) &&
				entry->last_at == DatumGetTimestampTz(get(row, desc, 3));
			pfree(session);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);

	hash_seq_init(&scan, beside->uses);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (!entry->agrees && (wrong == NULL || entry->last_seq < wrong->last_seq))
			wrong = entry;
	if (wrong == NULL)
		return true;
	/* Not which session, nor how often: who reads this may be of another organization. */
	return fault(result, wrong->last_seq,
				 "it is the last ALLOW in its session, and claiim.session_uses says something else of that");
}

/*
 * For the walk
 */

/* Inside of an owner scope with a snapshot, which all of this is done under. */
ChronBeside *
chron_beside_begin(void)
{
	ChronBeside *beside = palloc0(sizeof(ChronBeside));
	HASHCTL		info;

	memset(&info, 0, sizeof(info));
	info.keysize = CLAIIM_SESSION_ID_LEN + 1;
	info.entrysize = sizeof(Uses);
	info.hcxt = CurrentMemoryContext;
	beside->uses = hash_create("claiim session uses in Chron", 64, &info,
							   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	beside->completed_size = 8192;
	beside->completed = palloc0(beside->completed_size);
	for (int t = 0; t <= BESIDE_LAST; t++)
	{
		Side	   *side = &beside->sides[t];

		side->portal = SPI_cursor_open_with_args(NULL, tables[t].rows, 0, NULL,
												 NULL, NULL, true, 0);
		advance(side);
	}
	return beside;
}

/*
 * A record whose hashes are right.  False, and what is wrong, if a row of its
 * is not.
 */
bool
chron_beside_check(ChronBeside *beside, int64 seq, HeapTuple record,
				   TupleDesc desc, ChronFault *result)
{
	Datum		act;
	bool		completes;
	bool		opens;
	bool		digest;

	if (beside->at == 0)
	{
		beside->at = SPI_fnumber(desc, "at");
		beside->org = SPI_fnumber(desc, "org");
		beside->outcome = SPI_fnumber(desc, "outcome");
		beside->session = SPI_fnumber(desc, "session");
		beside->context_digest = SPI_fnumber(desc, "context_digest");
		beside->act = SPI_fnumber(desc, "act");
		beside->subject = SPI_fnumber(desc, "subject");
		beside->detail = SPI_fnumber(desc, "detail");
	}
	act = get(record, desc, beside->act);
	completes = is_text(act, "action.complete", strlen("action.complete"));
	opens = is_text(act, "log.open", strlen("log.open"));
	digest = !heap_attisnull(record, beside->context_digest, desc);

	if (!heap_attisnull(record, beside->session, desc) &&
		is_text(get(record, desc, beside->outcome), "ALLOW", strlen("ALLOW")))
		count_use(beside, get(record, desc, beside->session), seq,
				  DatumGetTimestampTz(get(record, desc, beside->at)));
	if (completes)
	{
		int64		completed = completed_seq(get(record, desc, beside->subject));

		/* A second one is what comes of a row that was removed for a while. */
		if (completed < 1 || completed >= seq)
			return fault(result, seq, "it completes no record before it");
		if (!note_completed(beside, completed))
			return fault(result, seq, "it completes record %lld once more",
						 (long long) completed);
	}
	return check_side(beside, BESIDE_COMPLETIONS, completes, completes,
					  seq, record, desc, result) &&
		check_side(beside, BESIDE_CONTEXTS, false, digest,
				   seq, record, desc, result) &&
		check_side(beside, BESIDE_LOGS, opens, opens,
				   seq, record, desc, result);
}

/*
 * After the last record: no row is left over, sessions were used as often as
 * it says, and no row is one that only a reader without an index sees.
 */
bool
chron_beside_end(ChronBeside *beside, ChronFault *result)
{
	for (int t = 0; t <= BESIDE_LAST; t++)
	{
		Side	   *side = &beside->sides[t];

		if (side->seq != PG_INT64_MAX)
			return fault(result, side->seq,
						 "claiim.%s has a row for record %lld, which is not in Chron",
						 tables[t].name, (long long) side->seq);
	}
	return check_uses(beside, result);
}

/* Whatever was found: an open cursor keeps its table from being altered. */
void
chron_beside_close(ChronBeside *beside)
{
	for (int t = 0; t <= BESIDE_LAST; t++)
		SPI_cursor_close(beside->sides[t].portal);
}

/* What the tables must count without their indexes; the same snapshot. */
bool
chron_beside_count(ChronBeside *beside, ChronFault *result)
{
	for (int t = 0; t <= BESIDE_LAST; t++)
	{
		int64		count;

		if (SPI_execute(tables[t].count, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not count the rows of claiim.%s", tables[t].name);
		count = DatumGetInt64(get(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		if (count != beside->sides[t].passed)
			return fault(result, 0,
						 "claiim.%s has %lld rows, its index shows %lld",
						 tables[t].name, (long long) count,
						 (long long) beside->sides[t].passed);
	}
	return true;
}
