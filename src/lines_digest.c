/*-------------------------------------------------------------------------
 *
 * lines_digest.c
 *	  The SHA-256 over what a query finds, line by line.
 *
 * For claiim._registry_digests.  A registry grows for years, and one text of
 * all its rows would some day be larger than PostgreSQL can make; from then on
 * no restored database could open a log.  So the lines go by a few at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"

#include <openssl/evp.h>

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(claiim_lines_sha256);

/* Lines in memory at a time. */
#define FETCH_LINES		100

static void
digest_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute a SHA-256")));
}

static void
digest_bytes(EVP_MD_CTX *digest, const void *bytes, size_t len)
{
	if (!EVP_DigestUpdate(digest, bytes, len))
		digest_failed();
}

/* The lines of a query, joined by line feeds; how many there were. */
static int64
digest_query(EVP_MD_CTX *digest, const char *query)
{
	SPIPlanPtr	plan;
	Portal		portal;
	int64		nlines = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query,
			 SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_LINES);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			bool		isnull;
			Datum		line = SPI_getbinval(SPI_tuptable->vals[i],
											 SPI_tuptable->tupdesc, 1, &isnull);

			if (nlines++ > 0)
				digest_bytes(digest, "\n", 1);
			if (!isnull)
			{
				text	   *bytes = DatumGetTextPP(line);

				digest_bytes(digest, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			}
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	return nlines;
}

/*
 * claiim._lines_sha256(query text) -> row_count bigint, sha256 text
 *
 * query: its first column is text.  In a database encoded in UTF-8, which
 * claiim's is.
 */
Datum
claiim_lines_sha256(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char hash[EVP_MAX_MD_SIZE];
	char		hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned int len = 0;
	int64		nlines = 0;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	PG_TRY();
	{
		if (digest == NULL || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
			digest_failed();
		nlines = digest_query(digest, query);
		if (!EVP_DigestFinal_ex(digest, hash, &len))
			digest_failed();
	}
	PG_FINALLY();
	{
		EVP_MD_CTX_free(digest);
	}
	PG_END_TRY();

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	hex[hex_encode((const char *) hash, len, hex)] = '\0';
	values[0] = Int64GetDatum(nlines);
	values[1] = CStringGetTextDatum(hex);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
