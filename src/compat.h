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
#include "utils/acl.h"
#include "utils/wait_event.h"

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
#define claiim_wait_event(name) WaitEventExtensionNew(name)
#else
#define claiim_wait_event(name) PG_WAIT_EXTENSION
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

#endif							/* CLAIIM_COMPAT_H */
