/*-------------------------------------------------------------------------
 *
 * network.c
 *	  Where the client is, for tokens that are bound to networks.
 *
 * What counts is the address of the connection's other end as this server
 * sees it.  Behind a pooler or a proxy that is the pooler's.  A client on a
 * Unix socket, like a background worker, has none and so is in no network.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/memutils.h"

#define MAPPED_PREFIX	"::ffff:"

/*
 * The client's address as an inet, or 0 for none.  An IPv4-mapped IPv6
 * address is the IPv4 address that it stands for, as claiim._networks has it.
 */
static Datum
client_inet(void)
{
	static Datum address = (Datum) 0;
	static bool known = false;

	if (!known)
	{
		const char *text = claiim_client_address();
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		if (text != NULL)
		{
			if (strncmp(text, MAPPED_PREFIX, strlen(MAPPED_PREFIX)) == 0 &&
				strchr(text, '.') != NULL)
				text += strlen(MAPPED_PREFIX);
			address = DirectFunctionCall1(inet_in, CStringGetDatum(text));
		}
		MemoryContextSwitchTo(old);
		known = true;
	}
	return address;
}

/*
 * Whether our client connects from one of these networks, a cidr[].
 */
bool
claiim_client_is_in(ArrayType *networks)
{
	Datum		address = client_inet();
	Datum	   *items;
	bool	   *nulls;
	int			nitems;

	if (address == (Datum) 0)
		return false;
	deconstruct_array(networks, CIDROID, -1, false, TYPALIGN_INT,
					  &items, &nulls, &nitems);
	for (int i = 0; i < nitems; i++)
	{
		if (!nulls[i] &&
			DatumGetBool(DirectFunctionCall2(network_subeq, address, items[i])))
			return true;
	}
	return false;
}
