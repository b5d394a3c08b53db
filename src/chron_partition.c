/*-------------------------------------------------------------------------
 *
 * chron_partition.c
 *	  Monthly partitions of claiim.chron, made ahead of need by the writer.
 *
 * Which month needs which partition is decided here; what a partition looks
 * like is claiim._add_partition's business (06_chron.sql).  Months are UTC
 * months.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef struct Month
{
	int			year;
	int			month;			/* 1 to 12 */
} Month;

static Month
month_of(int64 unix_us)
{
	struct pg_tm tm;
	fsec_t		fsec;
	Month		result;

	/* As a timestamp without zone: the fields are then those of UTC. */
	if (timestamp2tm(FROM_UNIX_US(unix_us), NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	result.year = tm.tm_year;
	result.month = tm.tm_mon;
	return result;
}

static Month
next_month(Month month)
{
	if (++month.month > 12)
	{
		month.month = 1;
		month.year++;
	}
	return month;
}

static int64
month_start_us(Month month)
{
	return ((int64) date2j(month.year, month.month, 1) - UNIX_EPOCH_JDATE) *
		USECS_PER_DAY;
}

static void
partition_name(Month month, char name[NAMEDATALEN])
{
	snprintf(name, NAMEDATALEN, "chron_y%04dm%02d", month.year, month.month);
}

/* The partition of a month, or InvalidOid. */
static Oid
find_partition(Month month)
{
	const ClaiimCatalog *catalog = claiim_catalog(false);
	char		name[NAMEDATALEN];
	Oid			relid;

	partition_name(month, name);
	relid = get_relname_relid(name, catalog->schema);
	if (OidIsValid(relid) &&
		(!get_rel_relispartition(relid) ||
		 get_partition_parent(relid, false) != catalog->tables[TABLE_CHRON]))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("claiim.%s is in the way: it is not a partition of claiim.chron",
						name),
				 errhint("Attach it for its month, or rename it.")));
	return relid;
}

static void
make_partition(Month month)
{
	static ClaiimQuery query = {
		"SELECT claiim._add_partition($1, $2, $3)",
		3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
	};
	char		name[NAMEDATALEN];
	Datum		values[3];
	OwnerScope	scope;

	partition_name(month, name);
	claiim_owner_begin(&scope, false);
	values[0] = CStringGetTextDatum(name);
	values[1] = TimestampTzGetDatum(FROM_UNIX_US(month_start_us(month)));
	values[2] = TimestampTzGetDatum(FROM_UNIX_US(month_start_us(next_month(month))));
	(void) claiim_query(&query, values, NULL, false, 0);
	claiim_owner_end(&scope);
}

/*
 * See to it that there is a partition for the month that is so many after
 * the one of this time.
 */
void
chron_ensure_partition(int64 unix_us, int months_ahead)
{
	Month		month = month_of(unix_us);

	while (months_ahead-- > 0)
		month = next_month(month);
	if (!OidIsValid(find_partition(month)))
		make_partition(month);
}

/*
 * The partition that takes records of this time, and which times it takes.
 * Kept until something about the table changes: every batch asks.
 *
 * Errors: 42P01 if there is none.
 */
Oid
chron_partition_for(int64 unix_us, int64 *from_us, int64 *until_us)
{
	static uint64 kept_in = 0;
	static Oid	relid = InvalidOid;
	static int64 from = 0;
	static int64 until = 0;
	Month		month;
	Oid			found;

	if (kept_in == claiim_catalog_generation() &&
		unix_us >= from && unix_us < until)
	{
		*from_us = from;
		*until_us = until;
		return relid;
	}

	month = month_of(unix_us);
	found = find_partition(month);
	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("claiim.chron has no partition for %04d-%02d",
						month.year, month.month)));
	relid = found;
	*from_us = from = month_start_us(month);
	*until_us = until = month_start_us(next_month(month));
	kept_in = claiim_catalog_generation();
	return relid;
}
