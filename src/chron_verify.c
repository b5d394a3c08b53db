/*-------------------------------------------------------------------------
 *
 * chron_verify.c
 *	  Checking the chain inside the database, and what an auditor needs to
 *	  check it outside.
 *
 * The server vouching for itself proves little to those who do not trust it;
 * tools/verify_chron.py does the same from an export, by doc/chron-format.md
 * alone.  This is the DBA's quick look, after a restore above all.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(claiim_verify);
PG_FUNCTION_INFO_V1(claiim_record_bytes);
PG_FUNCTION_INFO_V1(claiim_chron_id);
PG_FUNCTION_INFO_V1(claiim_chron_key);

#define FETCH_ROWS	1000

typedef struct Walk
{
	int64		must_reach;		/* the last record that must be there */
	int64		records;
	int64		last_seq;
	int64		last_at;
	uint8		last_link[CHRON_HASH_LEN];
	ChronFault	bad;			/* none so far */
	ChronBeside *beside;
} Walk;

static void
found(Walk *walk, int64 seq, const char *problem)
{
	walk->bad.seq = seq;
	strlcpy(walk->bad.problem, problem, sizeof(walk->bad.problem));
}

static bool
same_hash(Datum value, const uint8 *hash)
{
	bytea	   *stored = DatumGetByteaPP(value);

	return VARSIZE_ANY_EXHDR(stored) == CHRON_HASH_LEN &&
		memcmp(VARDATA_ANY(stored), hash, CHRON_HASH_LEN) == 0;
}

static Datum
column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool		isnull;

	/* All that are asked for are NOT NULL. */
	return SPI_getbinval(tuple, desc, SPI_fnumber(desc, name), &isnull);
}

static int
live_columns(TupleDesc desc)
{
	int			n = 0;

	for (int i = 0; i < desc->natts; i++)
		n += !TupleDescAttr(desc, i)->attisdropped;
	return n;
}

/* One row; false at the first fault. */
static bool
check_row(Walk *walk, HeapTuple tuple, TupleDesc desc, StringInfo buffer)
{
	int64		seq = DatumGetInt64(column(tuple, desc, "seq"));
	int64		at = UNIX_US(DatumGetTimestampTz(column(tuple, desc, "at")));
	ChronEncoder enc;
	uint8		leaf[CHRON_HASH_LEN];

	if (seq != walk->last_seq + 1)
	{
		if (seq <= walk->last_seq)
			found(walk, seq, "its number appears twice");
		else
			found(walk, walk->last_seq + 1, "it is missing");
		return false;
	}
	if (at < walk->last_at)
	{
		found(walk, seq, "it is older than its predecessor");
		return false;
	}

	/* Every field, the leaf and the link; a record can say nothing else. */
	if (walk->records == 0 && live_columns(desc) != CHRON_FIELD_LAST + 2)
	{
		found(walk, seq, "claiim.chron has a column that is no field of a record");
		return false;
	}
	chron_encode_row(tuple, desc, buffer, &enc);
	if (!chron_leaf_hash(&enc, NULL, 0, 0, leaf) ||
		!chron_link_hash(walk->last_link, leaf, walk->last_link))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the hashes of a record")));
	if (!same_hash(column(tuple, desc, "leaf"), leaf))
	{
		found(walk, seq, "its content does not match its leaf hash");
		return false;
	}
	if (!same_hash(column(tuple, desc, "link"), walk->last_link))
	{
		found(walk, seq, "its link does not follow from its predecessor's");
		return false;
	}
	walk->records++;
	walk->last_seq = seq;
	walk->last_at = at;
	return chron_beside_check(walk->beside, seq, tuple, desc, &walk->bad);
}

/*
 * The chain is whole as far as it goes.  Does it go as far as it must?  A
 * log's first record, and what this server has acknowledged since it
 * started, are known; both as of before the walk, for the chain goes on.
 */
static void
check_end(Walk *walk)
{
	if (walk->last_seq < walk->must_reach)
	{
		found(walk, walk->last_seq + 1, "");
		snprintf(walk->bad.problem, sizeof(walk->bad.problem),
				 "it is missing: Chron went at least as far as record %lld",
				 (long long) walk->must_reach);
	}
}

/*
 * The walk went by indexes.  A row that an index does not have is seen by
 * whoever reads the table without it, so the table must not have more.
 */
static void
check_count(Walk *walk)
{
	static const char *const by_index[] = {
		"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"
	};
	OwnerScope	scope;
	bool		isnull;
	int64		count;

	claiim_owner_begin(&scope, false);	/* the walk's own snapshot */
	for (int i = 0; i < (int) lengthof(by_index); i++)
		(void) set_config_option(by_index[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute_with_args("SELECT count(*) FROM claiim.chron WHERE seq <= $1",
							  1, (Oid[1]) {INT8OID},
							  (Datum[1]) {Int64GetDatum(walk->last_seq)},
							  NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not count the records");
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1, &isnull));
	if (count != walk->records)
	{
		found(walk, walk->last_seq, "");
		snprintf(walk->bad.problem, sizeof(walk->bad.problem),
				 "the table has %lld rows up to here, its index shows %lld",
				 (long long) count, (long long) walk->records);
	}
	else
		(void) chron_beside_count(walk->beside, &walk->bad);
	claiim_owner_end(&scope);
}

static void
walk_chron(Walk *walk)
{
	OwnerScope	scope;
	Portal		portal;
	StringInfoData buffer;
	bool		good = true;

	memset(walk, 0, sizeof(*walk));
	memcpy(walk->last_link, chron_zero_link, CHRON_HASH_LEN);
	walk->must_reach = Max(chron_last_log_start(), chron_last_acknowledged());
	initStringInfo(&buffer);

	claiim_owner_begin(&scope, true);
	walk->beside = chron_beside_begin();
	portal = SPI_cursor_open_with_args(NULL,
									   "SELECT * FROM claiim.chron ORDER BY seq",
									   0, NULL, NULL, NULL, true, 0);
	while (good)
	{
		MemoryContext rows = AllocSetContextCreate(CurrentMemoryContext,
												   "claiim verify rows",
												   ALLOCSET_DEFAULT_SIZES);
		MemoryContext old;
		SPITupleTable *fetched;
		uint64		nfetched;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		fetched = SPI_tuptable;
		nfetched = SPI_processed;
		old = MemoryContextSwitchTo(rows);
		for (uint64 i = 0; i < nfetched && good; i++)
		{
			CHECK_FOR_INTERRUPTS();
			good = check_row(walk, fetched->vals[i], fetched->tupdesc, &buffer);
		}
		MemoryContextSwitchTo(old);
		MemoryContextDelete(rows);
		SPI_freetuptable(fetched);
	}
	SPI_cursor_close(portal);
	if (good)
		check_end(walk);
	if (walk->bad.problem[0] == '\0' &&
		chron_beside_end(walk->beside, &walk->bad))
		check_count(walk);
	chron_beside_close(walk->beside);
	claiim_owner_end(&scope);
}

/*
 * claiim.verify() -> (ok, records, first_bad, problem, last_seq, last_link)
 *
 * Walks the chain from the first record, and what stands beside it along with
 * it.  first_bad is NULL where a problem is no record's.  Errors: those of
 * claiim_catalog.
 */
Datum
claiim_verify(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};
	Walk		walk;
	bool		ok;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	walk_chron(&walk);
	ok = walk.bad.problem[0] == '\0';
	stats_verified(ok, walk.last_seq);

	values[0] = BoolGetDatum(ok);
	values[1] = Int64GetDatum(walk.records);
	values[2] = Int64GetDatum(walk.bad.seq);
	nulls[2] = ok || walk.bad.seq == 0;
	nulls[3] = ok;
	values[3] = ok ? (Datum) 0 : CStringGetTextDatum(walk.bad.problem);
	nulls[4] = nulls[5] = walk.records == 0;
	values[4] = Int64GetDatum(walk.last_seq);
	values[5] = PointerGetDatum(cstring_to_text_with_len((char *) walk.last_link,
														 CHRON_HASH_LEN));
	if (!ok)
		nulls[5] = true;		/* the computed one is of the bad record */
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * claiim.chron_id(seq bigint, at timestamptz) -> text
 *
 * Errors: 22023 for a seq or a time that no record can have.
 */
Datum
claiim_chron_id(PG_FUNCTION_ARGS)
{
	int64		seq = PG_GETARG_INT64(0);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	char		id[CHRON_ID_SIZE];

	if (TIMESTAMP_NOT_FINITE(at) || !chron_id_encode(UNIX_US(at), seq, id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no record can have this number or time")));
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/*
 * The number and time that a record's identifier encodes.
 *
 * Errors: 22023 for what is not a Chron id.
 */
void
claiim_decode_chron_id(text *id, int64 *seq, TimestampTz *at)
{
	int64		unix_us;
	const char *why;

	if (!chron_id_decode(VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id), &unix_us,
						 seq, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a Chron id: %s",
						text_to_cstring(id), why),
				 errdetail("Expected \"chr_\" and 26 characters, as claiim_check returns it.")));
	*at = FROM_UNIX_US(unix_us);
}

/*
 * claiim._chron_key(chron_id text) -> (seq bigint, at timestamptz)
 *
 * Errors: 22023 for what is not a Chron id.
 */
Datum
claiim_chron_key(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	int64		seq;
	TimestampTz at;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	claiim_decode_chron_id(PG_GETARG_TEXT_PP(0), &seq, &at);
	values[0] = Int64GetDatum(seq);
	values[1] = TimestampTzGetDatum(at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * claiim._record_bytes(chron_id text) -> bytea
 *
 * The canonical bytes d of a record as it is in the table now, or NULL if
 * there is none; sha256('\x00' || d) is its leaf.  Who may see which record
 * is decided by the SQL function around this one.
 *
 * Errors: 22023 for what is not a Chron id.
 */
Datum
claiim_record_bytes(PG_FUNCTION_ARGS)
{
	static ClaiimQuery query = {
		"SELECT * FROM claiim.chron WHERE seq = $1 AND at = $2",
		2, {INT8OID, TIMESTAMPTZOID}, NULL
	};
	MemoryContext caller = CurrentMemoryContext;
	OwnerScope	scope;
	Datum		values[2];
	bytea	   *result = NULL;
	int64		seq;
	TimestampTz at;

	claiim_decode_chron_id(PG_GETARG_TEXT_PP(0), &seq, &at);
	claiim_owner_begin(&scope, true);
	values[0] = Int64GetDatum(seq);
	values[1] = TimestampTzGetDatum(at);
	if (claiim_query(&query, values, NULL, true, 1) == 1)
	{
		StringInfoData buffer;
		ChronEncoder enc;
		size_t		size;
		MemoryContext old;

		initStringInfo(&buffer);
		chron_encode_row(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
						 &buffer, &enc);
		size = enc.len + 64;
		old = MemoryContextSwitchTo(caller);
		result = palloc(VARHDRSZ + size);
		MemoryContextSwitchTo(old);
		size = chron_record_bytes(&enc, (uint8_t *) VARDATA(result), size);
		SET_VARSIZE(result, VARHDRSZ + size);
	}
	claiim_owner_end(&scope);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(result);
}
