/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings.  doc/dba.md explains them to the one who sets them.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

char	   *claiim_token_secret_file = NULL;
int			claiim_max_databases = 64;
int			claiim_queue_size = 512;
int			claiim_queue_timeout = 10000;
bool		claiim_allow_drop_chron = false;

void
claiim_guc_init(void)
{
	DefineCustomStringVariable("claiim.token_secret_file",
							   "File that holds the secret under which token digests are keyed.",
							   "At least 32 bytes, readable by the server's user only.",
							   &claiim_token_secret_file,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);

	DefineCustomIntVariable("claiim.queue_timeout",
							"Longest time that a call of the gate waits for its decision to be recorded.",
							"After it the call fails; it never answers without a record.",
							&claiim_queue_timeout,
							10000, 10, INT_MAX / 2,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("claiim.allow_drop_chron",
							 "Lets DROP take Chron's records along.",
							 "Off, whatever would drop a part of Chron that has records is refused.",
							 &claiim_allow_drop_chron,
							 false,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	/* The rest sizes shared memory and means nothing without the preload. */
	if (!process_shared_preload_libraries_in_progress)
		return;

	DefineCustomIntVariable("claiim.queue_size",
							"Decisions that can wait for the writers at one time.",
							"One place takes 16 kB of shared memory. Where several databases use claiim, none may hold more than half of what the others leave.",
							&claiim_queue_size,
							512, 16, 65536,
							PGC_POSTMASTER,
							0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("claiim.max_databases",
							"Databases of this cluster in which claiim can be used.",
							"Each needs a background worker while it is in use.",
							&claiim_max_databases,
							64, 1, 4096,
							PGC_POSTMASTER,
							0,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("claiim");
}
