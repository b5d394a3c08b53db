/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What the gate has done in this database since the server started.
 *
 * Counters in shared memory, one set a database.  Those of decisions are
 * kept by the writer alone, once a batch is durable: what is counted is what
 * is recorded, and nobody else writes to the line that they are in.  What
 * never reaches the writer (a full queue, a caller that gave up) is counted
 * by the caller.  They are figures for watching, not proof: that is Chron.
 *
 * Reasons are counted by their codes, which are put into a list of the
 * cluster when they are first met.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(claiim_stat);
PG_FUNCTION_INFO_V1(claiim_stat_reasons);
PG_FUNCTION_INFO_V1(claiim_stat_reset);

/* Upper bounds of the latency histogram, in us; the last bucket has none. */
static const int64 bounds[STATS_BUCKETS - 1] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000,
	100000, 250000, 500000, 1000000, 2500000, 10000000
};

/* Only one process ever writes to it. */
static void
add(pg_atomic_uint64 *counter, uint64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

static void
zero(ClaiimStats *stats)
{
	pg_atomic_uint64 *counters[] = {
		&stats->allowed, &stats->denied, &stats->acts, &stats->batches,
		&stats->failed, &stats->reevaluated, &stats->unconfirmed,
		&stats->queue_waits, &stats->queue_refused, &stats->commit_us,
		&stats->latency_us
	};

	for (int i = 0; i < (int) lengthof(counters); i++)
		pg_atomic_write_u64(counters[i], 0);
	for (int i = 0; i < STATS_BUCKETS; i++)
		pg_atomic_write_u64(&stats->latency[i], 0);
	for (int i = 0; i < STATS_REASONS; i++)
		pg_atomic_write_u64(&stats->reasons[i], 0);
	pg_atomic_write_u64(&stats->largest_batch, 0);
	stats->since = GetCurrentTimestamp();
}

/* For shared memory that is new. */
void
stats_init(ClaiimStats *stats)
{
	pg_atomic_uint64 *all = (pg_atomic_uint64 *) stats;

	for (size_t i = 0; i < offsetof(ClaiimStats, since) / sizeof(*all); i++)
		pg_atomic_init_u64(&all[i], 0);
}

/* A place has been given to another database. */
void
stats_start(ClaiimStats *stats)
{
	zero(stats);
	stats->verified_at = 0;
}

/*
 * The number of a reason code, under which it is counted.  The code must be
 * a constant of the library: it is recognized by its address.
 */
int
stats_reason(const char *code)
{
	static const char *known[STATS_REASONS];
	static int	numbers[STATS_REASONS];
	static int	nknown = 0;
	int			number;

	for (int i = 0; i < nknown; i++)
		if (known[i] == code)
			return numbers[i];

	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	for (number = 0; number < claiim_shared->nreasons; number++)
		if (strcmp(claiim_shared->reasons[number], code) == 0)
			break;
	if (number == claiim_shared->nreasons && number < STATS_REASONS)
		strlcpy(claiim_shared->reasons[claiim_shared->nreasons++], code,
				sizeof(claiim_shared->reasons[0]));
	LWLockRelease(claiim_shared->lock);

	/* More codes than there is room for share the last place. */
	number = Min(number, STATS_REASONS - 1);
	if (nknown < STATS_REASONS)
	{
		known[nknown] = code;
		numbers[nknown++] = number;
	}
	return number;
}

/*
 * The writer: a batch is durable, or has failed.
 */
void
stats_batch(ClaiimStats *stats, int n, ChronRequest **requests,
			const RequestState *states, int acts, int64 commit_us)
{
	TimestampTz now = GetCurrentTimestamp();
	int			recorded = 0;

	for (int i = 0; i < n; i++)
	{
		ChronRequest *request = requests[i];
		int64		us;
		int			bucket = 0;

		if (states[i] == REQUEST_STALE)
			add(&stats->reevaluated, 1);
		else if (states[i] == REQUEST_FAILED)
			add(&stats->failed, 1);
		if (states[i] != REQUEST_RECORDED)
			continue;
		if (request->completes != 0)
		{
			acts++;
			continue;
		}
		recorded++;
		add(request->allow ? &stats->allowed : &stats->denied, 1);
		add(&stats->reasons[request->reason], 1);
		us = Max(now - request->asked_at, 0);
		while (bucket < STATS_BUCKETS - 1 && us > bounds[bucket])
			bucket++;
		add(&stats->latency[bucket], 1);
		add(&stats->latency_us, us);
	}
	add(&stats->acts, acts);
	if (recorded + acts > 0)
	{
		add(&stats->batches, 1);
		add(&stats->commit_us, commit_us);
		if ((uint64) (recorded + acts) > pg_atomic_read_u64(&stats->largest_batch))
			pg_atomic_write_u64(&stats->largest_batch, recorded + acts);
	}
}

/* claiim.verify() has come to an end. */
void
stats_verified(bool ok, int64 last_seq)
{
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);

	if (db == NULL)
		return;
	LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
	db->stats.verified_at = GetCurrentTimestamp();
	db->stats.verified_ok = ok;
	db->stats.verified_seq = last_seq;
	LWLockRelease(claiim_shared->lock);
}

/*
 * What SQL sees
 */

static Datum
count_datum(pg_atomic_uint64 *counter)
{
	return Int64GetDatum((int64) pg_atomic_read_u64(counter));
}

static Datum
seconds(pg_atomic_uint64 *us)
{
	return Float8GetDatum((double) pg_atomic_read_u64(us) / 1000000.0);
}

static Datum
bounds_array(void)
{
	Datum		items[STATS_BUCKETS - 1];

	for (int i = 0; i < STATS_BUCKETS - 1; i++)
		items[i] = Float8GetDatum((double) bounds[i] / 1000000.0);
	return PointerGetDatum(construct_array(items, STATS_BUCKETS - 1, FLOAT8OID,
										   8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* How many took at most each of the bounds; the total is "latency_count". */
static Datum
bucket_array(ClaiimStats *stats, int64 *total)
{
	Datum		items[STATS_BUCKETS - 1];

	*total = 0;
	for (int i = 0; i < STATS_BUCKETS; i++)
	{
		*total += pg_atomic_read_u64(&stats->latency[i]);
		if (i < STATS_BUCKETS - 1)
			items[i] = Int64GetDatum(*total);
	}
	return PointerGetDatum(construct_array(items, STATS_BUCKETS - 1, INT8OID,
										   8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static const char *
writer_state_name(const ClaiimDatabase *db)
{
	if (db->holds > 0)
		return "held away";
	switch (db->writer_state)
	{
		case WRITER_NONE:
			return "none";
		case WRITER_STARTING:
			return "starting";
		case WRITER_RUNNING:
			return "running";
	}
	return NULL;
}

/*
 * claiim._stat() -> one row, the columns of claiim.pg_stat_claiim
 *
 * No row if claiim has not been used in this database since the server
 * started, or is not preloaded.
 */
Datum
claiim_stat(PG_FUNCTION_ARGS)
{
#define STAT_COLUMNS 29
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);
	Datum		values[STAT_COLUMNS];
	bool		nulls[STAT_COLUMNS] = {false};
	char		error[sizeof(db->writer_error)];
	int64		total;
	int			i = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (db == NULL)
		return (Datum) 0;

	values[i++] = count_datum(&db->stats.allowed);
	values[i++] = count_datum(&db->stats.denied);
	values[i++] = count_datum(&db->stats.acts);
	values[i++] = count_datum(&db->stats.reevaluated);
	values[i++] = count_datum(&db->stats.failed);
	values[i++] = count_datum(&db->stats.unconfirmed);
	values[i++] = count_datum(&db->stats.batches);
	values[i++] = count_datum(&db->stats.largest_batch);
	values[i++] = seconds(&db->stats.commit_us);
	values[i++] = Int32GetDatum(chron_queue_length(db));
	values[i++] = Int32GetDatum(claiim_shared->nslots);
	values[i++] = Int32GetDatum(claiim_shared->nslots -
								(int) pg_atomic_read_u32(&claiim_shared->nfree));
	values[i++] = Int32GetDatum((int) pg_atomic_read_u32(&db->slots_held));
	values[i++] = count_datum(&db->stats.queue_waits);
	values[i++] = count_datum(&db->stats.queue_refused);
	values[i++] = bounds_array();
	values[i++] = bucket_array(&db->stats, &total);
	values[i++] = seconds(&db->stats.latency_us);
	values[i++] = Int64GetDatum(total);
	values[i++] = Int64GetDatum((int64) pg_atomic_read_u64(&db->epoch));

	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	values[i++] = (Datum) writer_state_name(db);
	nulls[i] = db->writer_pid == 0;
	values[i++] = Int32GetDatum(db->writer_pid);
	nulls[i] = db->writer_pid == 0;
	values[i++] = TimestampTzGetDatum(db->writer_started);
	nulls[i] = db->writer_error[0] == '\0';
	strlcpy(error, db->writer_error, sizeof(error));
	values[i++] = (Datum) error;
	nulls[i] = db->last_seq == 0;
	values[i++] = Int64GetDatum(db->last_seq);
	nulls[i] = nulls[i + 1] = nulls[i + 2] = db->stats.verified_at == 0;
	values[i++] = TimestampTzGetDatum(db->stats.verified_at);
	values[i++] = BoolGetDatum(db->stats.verified_ok);
	values[i++] = Int64GetDatum(db->stats.verified_seq);
	values[i++] = TimestampTzGetDatum(db->stats.since);
	LWLockRelease(claiim_shared->lock);
	Assert(i == STAT_COLUMNS);

	for (i = 0; i < STAT_COLUMNS; i++)
		if (!nulls[i] &&
			TupleDescAttr(rsinfo->setDesc, i)->atttypid == TEXTOID)
			values[i] = CStringGetTextDatum((char *) values[i]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

/*
 * claiim._stat_reasons() -> (reason_code, decisions), a row for each code
 * that was met in this database
 */
Datum
claiim_stat_reasons(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);
	char		codes[STATS_REASONS][STATS_REASON_SIZE];
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (db == NULL)
		return (Datum) 0;
	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	n = claiim_shared->nreasons;
	memcpy(codes, claiim_shared->reasons, sizeof(codes));
	LWLockRelease(claiim_shared->lock);

	for (int i = 0; i < n; i++)
	{
		uint64		count = pg_atomic_read_u64(&db->stats.reasons[i]);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		if (count == 0)
			continue;
		values[0] = CStringGetTextDatum(codes[i]);
		values[1] = Int64GetDatum((int64) count);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * claiim.pg_stat_claiim_reset() -> void: all counters of this database to 0.
 *
 * The writer may be counting just then; a batch's figures can survive.
 */
Datum
claiim_stat_reset(PG_FUNCTION_ARGS)
{
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);

	if (db != NULL)
	{
		LWLockAcquire(claiim_shared->lock, LW_EXCLUSIVE);
		zero(&db->stats);
		LWLockRelease(claiim_shared->lock);
	}
	PG_RETURN_VOID();
}
