/*-------------------------------------------------------------------------
 *
 * chron_guard.c
 *	  Append-only: the triggers that refuse.
 *
 * The writer inserts below the level of triggers (chron_store.c), so nothing
 * that SQL can do is an append; every INSERT, UPDATE, DELETE and TRUNCATE
 * that reaches this trigger is refused, by whomever.  The exceptions are the
 * writer's own INSERTs beside Chron (contexts, logs), and the INSERTs of a
 * restore, into a database where no log has been opened: what they put there
 * is judged by its hashes.
 *
 * These triggers stop accidents and the lazy.  Who owns the server can take
 * them off; that this shows is the business of the chain.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(claiim_guard_chron);

/*
 * claiim._guard_chron(): trigger on claiim.chron, each of its partitions,
 * claiim.contexts and claiim.logs
 *
 * Errors: 42501, always, but for the writer and a restore.
 */
Datum
claiim_guard_chron(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerEvent event;
	const char *what;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as a trigger")));

	event = trigdata->tg_event;
	if (TRIGGER_FIRED_BY_INSERT(event))
	{
		if (TRIGGER_FIRED_FOR_ROW(event) &&
			(claiim_am_writer || !chron_log_is_open()))
			return PointerGetDatum(trigdata->tg_trigtuple);
		what = "INSERT into";
	}
	else if (TRIGGER_FIRED_BY_UPDATE(event))
		what = "UPDATE of";
	else if (TRIGGER_FIRED_BY_DELETE(event))
		what = "DELETE from";
	else
		what = "TRUNCATE of";

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("Chron is append-only: %s claiim.%s is refused",
					what, RelationGetRelationName(trigdata->tg_relation)),
			 errdetail("Only the gate's writer adds records, and nobody changes or removes one.")));
	return (Datum) 0;
}
