/*-------------------------------------------------------------------------
 *
 * chron_log.c
 *	  Which log this is, and where its chain ends.
 *
 * A log belongs to one cluster (its system identifier), one database and one
 * chron table.  A copy made by TEMPLATE, by restoring a dump or by pg_upgrade
 * differs in one of the three, so its writer finds no log of its own and
 * opens a new one, on top of the records that it was given.  Nothing is ever
 * appended under another's name.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static ClaiimQuery find_query = {
	"SELECT log, first_seq FROM claiim.logs"
	" WHERE system_identifier = $1 AND database_oid = $2 AND chron_oid = $3",
	3, {INT8OID, OIDOID, OIDOID}, NULL
};
static ClaiimQuery insert_query = {
	"INSERT INTO claiim.logs"
	" (log, system_identifier, database_oid, chron_oid, opened_at, first_seq)"
	" VALUES ($1, $2, $3, $4, now(), $5)",
	5, {TEXTOID, INT8OID, OIDOID, OIDOID, INT8OID}, NULL
};
static ClaiimQuery arm_query = {
	"SELECT claiim._arm_guards()",
	0, {0}, NULL
};
static ClaiimQuery tip_query = {
	"SELECT seq, at, link, log FROM claiim.chron ORDER BY seq DESC LIMIT 1",
	0, {0}, NULL
};

static void
log_key(Datum *values)
{
	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = ObjectIdGetDatum(claiim_catalog(false)->tables[TABLE_CHRON]);
}

/*
 * The log of this cluster, database and table, and its first seq; false if
 * none has been opened.
 */
bool
chron_find_log(char log[TYPEID_MAX_LEN + 1], int64 *first_seq)
{
	OwnerScope	scope;
	Datum		values[3];
	bool		found;
	bool		isnull;

	claiim_owner_begin(&scope, true);
	log_key(values);
	found = claiim_query(&find_query, values, NULL, true, 1) == 1;
	if (found)
	{
		strlcpy(log, SPI_getvalue(SPI_tuptable->vals[0],
								  SPI_tuptable->tupdesc, 1),
				TYPEID_MAX_LEN + 1);
		*first_seq = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
												 SPI_tuptable->tupdesc, 2,
												 &isnull));
	}
	claiim_owner_end(&scope);
	return found;
}

/* The first record of the log opened last, of whatever cluster; 0: none. */
int64
chron_last_log_start(void)
{
	static ClaiimQuery query = {
		"SELECT max(first_seq) FROM claiim.logs", 0, {0}, NULL
	};
	OwnerScope	scope;
	Datum		value;
	bool		isnull;

	claiim_owner_begin(&scope, true);
	(void) claiim_query(&query, NULL, NULL, true, 1);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	claiim_owner_end(&scope);
	return isnull ? 0 : DatumGetInt64(value);
}

/* The last record that was acknowledged since the server started; 0: none. */
int64
chron_last_acknowledged(void)
{
	Oid			chron_relid = claiim_catalog(false)->tables[TABLE_CHRON];
	ClaiimDatabase *db = claiim_find_database(MyDatabaseId);
	int64		seq = 0;

	if (db == NULL)
		return 0;
	LWLockAcquire(claiim_shared->lock, LW_SHARED);
	if (db->chron_relid == chron_relid)
		seq = db->last_seq;
	LWLockRelease(claiim_shared->lock);
	return seq;
}

/* In this transaction no log is open, and none can be opened before its end. */
static bool no_log_yet = false;

static void
log_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		no_log_yet = false;
}

/* The lock that keeps it so may have been taken in what is rolled back. */
static void
log_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
					 SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		no_log_yet = false;
}

void
chron_log_init(void)
{
	RegisterXactCallback(log_xact_callback, NULL);
	RegisterSubXactCallback(log_subxact_callback, NULL);
}

/*
 * Has the log been opened, so that rows may no longer be put into the tables
 * as a restore does?  Once it has been, it stays so.  If not, a lock keeps it
 * so for the rest of the transaction: a restore is either before the log, or
 * refused.
 */
bool
chron_log_is_open(void)
{
	static uint64 open_in = 0;	/* catalog generation in which it was */
	char		log[TYPEID_MAX_LEN + 1];
	int64		first_seq;
	LOCKTAG		tag;

	(void) claiim_catalog(false);
	if (open_in == claiim_catalog_generation())
		return true;
	if (no_log_yet)
		return false;
	claiim_log_locktag(&tag);
	(void) LockAcquire(&tag, ShareLock, false, false);
	if (chron_find_log(log, &first_seq))
	{
		LockRelease(&tag, ShareLock, false);
		open_in = claiim_catalog_generation();
		return true;
	}
	no_log_yet = true;
	return false;
}

/*
 * Wait until no restore is under way, and let none begin before the end of
 * this transaction.
 */
void
chron_lock_log(void)
{
	LOCKTAG		tag;

	claiim_log_locktag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* The writer opens a log.  After chron_lock_log. */
void
chron_insert_log(const char *log, int64 first_seq)
{
	OwnerScope	scope;
	Datum		values[5];

	claiim_owner_begin(&scope, false);
	values[0] = CStringGetTextDatum(log);
	log_key(&values[1]);
	values[4] = Int64GetDatum(first_seq);
	(void) claiim_query(&insert_query, values, NULL, false, 0);
	(void) claiim_query(&arm_query, NULL, NULL, false, 0);
	claiim_owner_end(&scope);
}

/*
 * The last record in the table; seq 0 and the zero link if there is none.
 */
void
chron_read_tip(ChronTip *tip)
{
	OwnerScope	scope;
	bool		isnull;

	memset(tip, 0, sizeof(*tip));
	memcpy(tip->link, chron_zero_link, CHRON_HASH_LEN);

	claiim_owner_begin(&scope, false);
	if (claiim_query(&tip_query, NULL, NULL, false, 1) == 1)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bytea	   *link;

		tip->seq = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		tip->at = UNIX_US(DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2,
															&isnull)));
		link = DatumGetByteaPP(SPI_getbinval(tuple, desc, 3, &isnull));
		if (VARSIZE_ANY_EXHDR(link) != CHRON_HASH_LEN)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("Chron's last record has a malformed link")));
		memcpy(tip->link, VARDATA_ANY(link), CHRON_HASH_LEN);
		strlcpy(tip->log, SPI_getvalue(tuple, desc, 4), sizeof(tip->log));
	}
	claiim_owner_end(&scope);
}
