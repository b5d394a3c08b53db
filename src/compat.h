/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between server versions, each naming its cause.
 *
 * No other file tests PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_COMPAT_H
#define CLAIIM_COMPAT_H

#include "postgres.h"

#include "catalog/pg_database.h"
#include "executor/executor.h"
#include "replication/walsender_private.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

/*
 * 16 moved VARDATA and its like into a header of their own (d952373a987).
 */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "claiim needs PostgreSQL 15 or later"
#endif

/*
 * 16 added "onlySummarizing" for BRIN-only updates (19d8e2308bc).
 */
#if PG_VERSION_NUM >= 160000
#define claiim_insert_index_entries(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL, false)
#else
#define claiim_insert_index_entries(rri, slot, estate) \
	ExecInsertIndexTuples(rri, slot, estate, false, false, NULL, NIL)
#endif

/*
 * 17 lets an extension name its wait events (c9af054653077).
 */
#if PG_VERSION_NUM >= 170000
static inline uint32
claiim_wait_event_number(uint32 *number, const char *name)
{
	if (*number == 0)
		*number = WaitEventExtensionNew(name);
	return *number;
}
#define CLAIIM_WAIT_EVENT(function, name) \
	static uint32 function(void) \
	{ static uint32 number = 0; return claiim_wait_event_number(&number, name); }
#else
#define CLAIIM_WAIT_EVENT(function, name) \
	static uint32 function(void) { return PG_WAIT_EXTENSION; }
#endif

/*
 * 17 added transaction_timeout (51efe38cb92); one of the database's must not
 * end the writer.
 */
#if PG_VERSION_NUM >= 170000
#define CLAIIM_TIMEOUT_SETTINGS {"transaction_timeout", "0"},
#else
#define CLAIIM_TIMEOUT_SETTINGS
#endif

/*
 * 15.13, 16.9 and 17.5 made flags of sync_standbys_defined ("Fix race with
 * synchronous_standby_names at startup").
 */
#ifdef SYNC_STANDBY_DEFINED
#define claiim_standbys_defined() \
	((((volatile WalSndCtlData *) WalSndCtl)->sync_standbys_status & SYNC_STANDBY_DEFINED) != 0)
#else
#define claiim_standbys_defined() \
	(((volatile WalSndCtlData *) WalSndCtl)->sync_standbys_defined)
#endif

/*
 * 18 replaced pg_attribute_noreturn() by pg_noreturn, which stands before
 * the type (3691edfab97).
 */
#if PG_VERSION_NUM >= 180000
#define claiim_noreturn pg_noreturn
#else
#define claiim_noreturn pg_attribute_noreturn()
#endif

/*
 * 16 replaced the ownership check of each kind of object by one for all
 * (afbfc02983f).
 */
#if PG_VERSION_NUM >= 160000
#define claiim_owns_database(database, role) \
	object_ownercheck(DatabaseRelationId, database, role)
#else
#define claiim_owns_database(database, role) \
	pg_database_ownercheck(database, role)
#endif

/*
 * ... and the privilege check of each kind by one for all (c727f511bd7).
 */
#if PG_VERSION_NUM >= 160000
#define claiim_proc_aclcheck(function, role, mode) \
	object_aclcheck(ProcedureRelationId, function, role, mode)
#else
#define claiim_proc_aclcheck(function, role, mode) \
	pg_proc_aclcheck(function, role, mode)
#endif

/*
 * 18 lets RETURNING name the old row and the new one (80feb727c86).
 */
#if PG_VERSION_NUM >= 180000
#define claiim_expand_rte(rte, rtindex, names, columns) \
	expandRTE(rte, rtindex, 0, VAR_RETURNING_DEFAULT, -1, false, names, columns)
#else
#define claiim_expand_rte(rte, rtindex, names, columns) \
	expandRTE(rte, rtindex, 0, -1, false, names, columns)
#endif

#endif							/* CLAIIM_COMPAT_H */
