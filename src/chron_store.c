/*-------------------------------------------------------------------------
 *
 * chron_store.c
 *	  Records as rows of claiim.chron, and rows as records.
 *
 * The fields of a record and the columns of the table are the same list
 * (chron_field_info); this file only moves values across.  Rows are inserted
 * through the table access method, a batch at a time, below the level of
 * SQL: no trigger, rule or planner takes part, and nothing that SQL can do
 * looks like an append (see chron_guard.c).
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#define BUFFERED_ROWS	64

/* Where a field of a record stands in a row. */
typedef struct ColumnMap
{
	AttrNumber	column_of[CHRON_FIELD_LAST + 1];
	AttrNumber	leaf_column;
	AttrNumber	link_column;
} ColumnMap;

struct ChronInserter
{
	MemoryContext context;		/* where all of this lives, whoever calls */

	/* The open partition and the times that it takes. */
	Relation	partition;
	int64		from_us;
	int64		until_us;
	EState	   *estate;
	ResultRelInfo *result_rel;
	const ColumnMap *columns;

	TupleTableSlot *slots[BUFFERED_ROWS];
	int			nslots;			/* made */
	int			nbuffered;		/* filled */
};

static AttrNumber
find_column(TupleDesc desc, const char *name, Oid type)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped &&
			strcmp(NameStr(attribute->attname), name) == 0 &&
			attribute->atttypid == type)
			return attribute->attnum;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("claiim.chron has no column \"%s\" of type %s",
					name, format_type_be(type))));
	return InvalidAttrNumber;
}

/* A field's time is a timestamptz in the table, microseconds in the record. */
static bool
is_time(int id)
{
	return id == CHRON_FIELD_AT || id == CHRON_FIELD_CLOCK;
}

static Oid
column_type(const ChronFieldInfo *info)
{
	if (is_time(info->id))
		return TIMESTAMPTZOID;
	switch (info->type)
	{
		case CHRON_TYPE_INT:
			return INT8OID;
		case CHRON_TYPE_TEXT:
			return TEXTOID;
		case CHRON_TYPE_BYTES:
			return BYTEAOID;
	}
	return InvalidOid;
}

static void
map_columns(TupleDesc desc, AttrNumber column_of[CHRON_FIELD_LAST + 1])
{
	for (int id = 1; id <= CHRON_FIELD_LAST; id++)
	{
		const ChronFieldInfo *info = chron_field_info(id);

		column_of[id] = info ? find_column(desc, info->column, column_type(info))
			: InvalidAttrNumber;
	}
}

/* The map of a partition, kept until something about the table changes. */
static const ColumnMap *
columns_of(Relation partition)
{
	static ColumnMap map;
	static Oid	kept_for = InvalidOid;
	static uint64 kept_in = 0;
	TupleDesc	desc = RelationGetDescr(partition);

	if (kept_for == RelationGetRelid(partition) &&
		kept_in == claiim_catalog_generation())
		return &map;
	kept_for = InvalidOid;
	map_columns(desc, map.column_of);
	map.leaf_column = find_column(desc, "leaf", BYTEAOID);
	map.link_column = find_column(desc, "link", BYTEAOID);
	kept_for = RelationGetRelid(partition);
	kept_in = claiim_catalog_generation();
	return &map;
}

ChronInserter *
chron_insert_begin(void)
{
	ChronInserter *inserter = palloc0(sizeof(ChronInserter));

	inserter->context = CurrentMemoryContext;
	return inserter;
}

static void
flush(ChronInserter *inserter)
{
	if (inserter->nbuffered == 0)
		return;

	table_multi_insert(inserter->partition, inserter->slots,
					   inserter->nbuffered, GetCurrentCommandId(true), 0,
					   NULL);
	for (int i = 0; i < inserter->nbuffered; i++)
	{
		(void) claiim_insert_index_entries(inserter->result_rel,
										   inserter->slots[i],
										   inserter->estate);
		ExecClearTuple(inserter->slots[i]);
		ResetPerTupleExprContext(inserter->estate);
	}
	inserter->nbuffered = 0;
}

static void
close_partition(ChronInserter *inserter)
{
	if (inserter->partition == NULL)
		return;
	flush(inserter);
	for (int i = 0; i < inserter->nslots; i++)
		ExecDropSingleTupleTableSlot(inserter->slots[i]);
	inserter->nslots = 0;
	ExecCloseIndices(inserter->result_rel);
	FreeExecutorState(inserter->estate);
	table_close(inserter->partition, NoLock);
	inserter->partition = NULL;
}

static void
open_partition(ChronInserter *inserter, int64 unix_us)
{
	Oid			relid = chron_partition_for(unix_us, &inserter->from_us,
											&inserter->until_us);

	inserter->partition = table_open(relid, RowExclusiveLock);
	/* While we waited for the lock it may have been detached. */
	if (!inserter->partition->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("claiim.%s is not a partition of claiim.chron any more",
						RelationGetRelationName(inserter->partition))));
	if (inserter->partition->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition claiim.%s is not logged: a record in it would not survive a crash",
						RelationGetRelationName(inserter->partition)),
				 errhint("ALTER TABLE ... SET LOGGED.")));
	inserter->columns = columns_of(inserter->partition);

	inserter->estate = CreateExecutorState();
	inserter->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(inserter->result_rel, inserter->partition, 0, NULL, 0);
	ExecOpenIndices(inserter->result_rel, false);
}

static Datum
field_datum(const ChronField *field)
{
	if (is_time(field->id))
		return TimestampTzGetDatum(FROM_UNIX_US(chron_field_int(field)));
	switch (field->type)
	{
		case CHRON_TYPE_INT:
			return Int64GetDatum(chron_field_int(field));
		default:
			/* text and bytea look alike */
			return PointerGetDatum(cstring_to_text_with_len((const char *) field->value,
															field->len));
	}
}

static void
fill_values(ChronInserter *inserter, const uint8 *fields, size_t len,
			Datum *values, bool *nulls)
{
	ChronDecoder decoder;
	ChronField	field;
	int			got;

	chron_decode_start(&decoder, fields, len);
	while ((got = chron_decode_next(&decoder, &field)) == 1)
	{
		AttrNumber	column = inserter->columns->column_of[field.id];

		values[column - 1] = field_datum(&field);
		nulls[column - 1] = false;
	}
	if (got < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("a record for Chron is malformed")));
}

/*
 * A partition is found by its name.  One that was attached by hand could have
 * other bounds, and then readers would not look there for what is in it.
 * Once for each partition, while nothing about the table changes.
 */
static void
check_bounds(ChronInserter *inserter, TupleTableSlot *slot)
{
	static Oid	checked = InvalidOid;
	static uint64 checked_in = 0;

	if (checked == RelationGetRelid(inserter->partition) &&
		checked_in == claiim_catalog_generation())
		return;
	ExecPartitionCheck(inserter->result_rel, slot, inserter->estate, true);
	checked = RelationGetRelid(inserter->partition);
	checked_in = claiim_catalog_generation();
}

/*
 * Add a record to the batch.  Its fields come in two pieces, the writer's
 * and the caller's.
 */
void
chron_insert(ChronInserter *inserter, int64 unix_us,
			 const ChronEncoder *writer_fields,
			 const uint8 *caller_fields, size_t caller_len,
			 const uint8 *leaf, const uint8 *link)
{
	TupleTableSlot *slot;
	MemoryContext caller = MemoryContextSwitchTo(inserter->context);

	if (inserter->partition == NULL ||
		unix_us < inserter->from_us || unix_us >= inserter->until_us)
	{
		close_partition(inserter);
		open_partition(inserter, unix_us);
	}
	if (inserter->nbuffered == BUFFERED_ROWS)
		flush(inserter);
	if (inserter->nbuffered == inserter->nslots)
		inserter->slots[inserter->nslots++] =
			table_slot_create(inserter->partition, NULL);

	slot = inserter->slots[inserter->nbuffered];
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true,
		   sizeof(bool) * slot->tts_tupleDescriptor->natts);
	fill_values(inserter, writer_fields->data, writer_fields->len,
				slot->tts_values, slot->tts_isnull);
	fill_values(inserter, caller_fields, caller_len,
				slot->tts_values, slot->tts_isnull);
	slot->tts_values[inserter->columns->leaf_column - 1] =
		PointerGetDatum(cstring_to_text_with_len((const char *) leaf,
												 CHRON_HASH_LEN));
	slot->tts_isnull[inserter->columns->leaf_column - 1] = false;
	slot->tts_values[inserter->columns->link_column - 1] =
		PointerGetDatum(cstring_to_text_with_len((const char *) link,
												 CHRON_HASH_LEN));
	slot->tts_isnull[inserter->columns->link_column - 1] = false;
	ExecStoreVirtualTuple(slot);
	check_bounds(inserter, slot);
	inserter->nbuffered++;
	MemoryContextSwitchTo(caller);
}

/* Everything added is in the table, if not yet committed. */
void
chron_insert_end(ChronInserter *inserter)
{
	close_partition(inserter);
	pfree(inserter);
}

/*
 * The other way: the fields of a row as they are in the table now.  "desc"
 * must have every column of claiim.chron.  The bytes are put into "buffer".
 *
 * Errors: XX001 if a value is one that no record can have.
 */
void
chron_encode_row(HeapTuple tuple, TupleDesc desc, StringInfo buffer,
				 ChronEncoder *enc)
{
	AttrNumber	column_of[CHRON_FIELD_LAST + 1];
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	size_t		needed = 0;

	map_columns(desc, column_of);
	heap_deform_tuple(tuple, desc, values, nulls);

	for (int id = 1; id <= CHRON_FIELD_LAST; id++)
	{
		const ChronFieldInfo *info = chron_field_info(id);
		int			i;

		if (info == NULL || nulls[(i = column_of[id] - 1)])
			continue;
		if (info->type != CHRON_TYPE_INT)
		{
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
			needed += VARSIZE_ANY_EXHDR(DatumGetPointer(values[i]));
		}
		needed += 16;
	}
	resetStringInfo(buffer);
	enlargeStringInfo(buffer, (int) needed);
	chron_encode_start(enc, (uint8 *) buffer->data, needed);

	for (int id = 1; id <= CHRON_FIELD_LAST; id++)
	{
		const ChronFieldInfo *info = chron_field_info(id);
		int			i;

		if (info == NULL || nulls[(i = column_of[id] - 1)])
			continue;
		if (is_time(id))
			chron_encode_int(enc, id, UNIX_US(DatumGetTimestampTz(values[i])));
		else if (info->type == CHRON_TYPE_INT)
			chron_encode_int(enc, id, DatumGetInt64(values[i]));
		else if (info->type == CHRON_TYPE_TEXT)
			chron_encode_text_len(enc, id, VARDATA_ANY(DatumGetPointer(values[i])),
								  VARSIZE_ANY_EXHDR(DatumGetPointer(values[i])));
		else
			chron_encode_bytes(enc, id,
							   (uint8 *) VARDATA_ANY(DatumGetPointer(values[i])),
							   VARSIZE_ANY_EXHDR(DatumGetPointer(values[i])));
	}
	if (enc->failed)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of claiim.chron cannot be encoded")));
	pfree(values);
	pfree(nulls);
}
