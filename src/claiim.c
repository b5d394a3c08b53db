/*-------------------------------------------------------------------------
 *
 * claiim.c
 *	  Wiring, and nothing else: what is initialized, in what order.
 *
 * Loaded through shared_preload_libraries the library has its shared memory,
 * hooks and writers.  Loaded any other way (psql, pg_upgrade, CREATE
 * EXTENSION in a cluster that does not preload it) it stays quiet, and the
 * gate's entry points raise an error with a hint; see claiim_require_preload.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
PG_FUNCTION_INFO_V1(claiim_version);

void
_PG_init(void)
{
	claiim_guc_init();
	claiim_catalog_init();
	claiim_caller_init();
	claiim_identity_init();
	claiim_governance_init();
	chron_log_init();

	if (!process_shared_preload_libraries_in_progress)
		return;

	claiim_shmem_init();
	claiim_hooks_init();
	chron_guard_init();
	claiim_log_mask_init();
	claiim_check_scan_init();
	explain_guard_init();
	claiim_direct_init();
}

/*
 * claiim_version() -> text: the version of the loaded library.
 */
Datum
claiim_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(CLAIIM_VERSION));
}
