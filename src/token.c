/*-------------------------------------------------------------------------
 *
 * token.c
 *	  Tokens and their keyed digests.
 *
 * A token is ctk_<26 characters>_<43 characters>: an identifier that names
 * its row, and 32 random bytes in base64url.  The table keeps
 * HMAC-SHA256(secret, token) and nothing else of it; the secret is read from
 * the file that claiim.token_secret_file names and never leaves this file.
 *
 *-------------------------------------------------------------------------
 */
#include "claiim.h"
#include "compat.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SECRET_MIN	32
#define SECRET_MAX	4096
#define TOKEN_RANDOM	32
#define TOKEN_RANDOM_CHARS	43	/* base64url of 32 bytes, unpadded */

PG_FUNCTION_INFO_V1(claiim_new_token);
PG_FUNCTION_INFO_V1(claiim_typeid);

static const char token_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint8 secret[SECRET_MAX];
static size_t secret_len = 0;
static struct stat secret_stat;

/*
 * To the caller the reason; to the log also which file, and what the system
 * said of it.
 */
static claiim_noreturn void
secret_error(const char *why, int saved_errno)
{
	errno = saved_errno;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("the token secret cannot be used: %s", why),
			 saved_errno ?
			 errdetail_log("File \"%s\": %m.", claiim_token_secret_file) :
			 errdetail_log("File \"%s\".", claiim_token_secret_file),
			 errhint("Set claiim.token_secret_file to a file of at least %d bytes that only the server's user can read (mode 0600). The server's log names the file.",
					 SECRET_MIN)));
}

/*
 * As the server treats a TLS key: its own file, of which nobody else may see
 * anything; or root's, which its group may read.
 */
static bool
others_have_access(const struct stat *st)
{
	if (st->st_uid == geteuid())
		return (st->st_mode & (S_IRWXG | S_IRWXO)) != 0;
	return st->st_uid != 0 ||
		(st->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
		a->st_size == b->st_size && a->st_mode == b->st_mode &&
		a->st_uid == b->st_uid &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
		a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
		a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Read the secret, again whenever the file has changed.
 *
 * Errors: F0000 if there is none, or if others could read it.
 */
static void
load_secret(void)
{
	struct stat st;
	int			fd;
	ssize_t		n;

	if (claiim_token_secret_file == NULL || claiim_token_secret_file[0] == '\0')
		secret_error("claiim.token_secret_file is not set", 0);
	if (stat(claiim_token_secret_file, &st) == 0 && secret_len > 0 &&
		same_file(&st, &secret_stat))
		return;

	fd = OpenTransientFile(claiim_token_secret_file, O_RDONLY | PG_BINARY);
	if (fd < 0)
		secret_error("its file cannot be opened", errno);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		secret_error("it is not a regular file", 0);
	if (others_have_access(&st))
		secret_error("its file is accessible to others", 0);

	secret_len = 0;
	n = read(fd, secret, sizeof(secret));
	if (n < 0)
		secret_error("its file cannot be read", errno);
	CloseTransientFile(fd);
	if (n == (ssize_t) sizeof(secret))
		secret_error("its file is too long", 0);
	while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
		n--;
	if (n < SECRET_MIN)
		secret_error("its file is too short", 0);
	secret_len = n;
	secret_stat = st;
}

/*
 * HMAC-SHA256 of a token under the secret.
 */
void
claiim_token_digest(const char *token, size_t len,
					uint8 digest[CLAIIM_DIGEST_LEN])
{
	unsigned int digest_len = 0;

	load_secret();
	if (HMAC(EVP_sha256(), secret, (int) secret_len,
			 (const unsigned char *) token, len, digest, &digest_len) == NULL ||
		digest_len != CLAIIM_DIGEST_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the digest of a token")));
}

/* Constant time. */
bool
claiim_digest_equal(const uint8 *a, const uint8 *b)
{
	return CRYPTO_memcmp(a, b, CLAIIM_DIGEST_LEN) == 0;
}

/*
 * The server logs the statement of every error, and a token may stand in it.
 */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
}

/*
 * From here on, until "callback" is popped off error_context_stack (which an
 * error does by itself), errors do not bring their statement into the log.
 */
void
claiim_hide_statement(ErrorContextCallback *callback)
{
	callback->callback = hide_statement;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/*
 * The identifier in a token; false if the text has not a token's form.
 */
bool
claiim_token_split(const char *token, size_t len,
				   char token_id[CLAIIM_TOKEN_ID_LEN + 1])
{
	char		prefix[TYPEID_MAX_PREFIX + 1];
	uint8		uuid[16];
	const char *error;

	if (len != CLAIIM_TOKEN_ID_LEN + 1 + TOKEN_RANDOM_CHARS ||
		token[CLAIIM_TOKEN_ID_LEN] != '_' ||
		!typeid_decode(token, CLAIIM_TOKEN_ID_LEN, prefix, uuid, &error) ||
		strcmp(prefix, "ctk") != 0)
		return false;
	memcpy(token_id, token, CLAIIM_TOKEN_ID_LEN);
	token_id[CLAIIM_TOKEN_ID_LEN] = '\0';
	return true;
}

static bool
is_token_char(char c)
{
	return c != '\0' && strchr(token_alphabet, c) != NULL;
}

/*
 * Where the secret part of a token begins in a text; NULL if none does.  By
 * its form alone, so that it is found whether or not it was ever issued; and
 * by its beginning, for the server's log may cut a text anywhere.
 */
static char *
find_secret(const char *text, size_t len)
{
	char		prefix[TYPEID_MAX_PREFIX + 1];
	uint8		uuid[16];
	const char *error;
	size_t		head = CLAIIM_TOKEN_ID_LEN + 1;
	const char *at = text;
	const char *end = text + len;

	while (end - at > (ptrdiff_t) head &&
		   (at = memchr(at, 'c', end - at - head)) != NULL)
	{
		if (memcmp(at, "ctk_", 4) == 0 && at[CLAIIM_TOKEN_ID_LEN] == '_' &&
			is_token_char(at[head]) &&
			typeid_decode(at, CLAIIM_TOKEN_ID_LEN, prefix, uuid, &error))
			return unconstify(char *, at + head);
		at++;
	}
	return NULL;
}

bool
claiim_has_token(const char *text, size_t len)
{
	return find_secret(text, len) != NULL;
}

/* Overwrite what is secret in every token that stands in a text. */
void
claiim_mask_tokens(char *text)
{
	char	   *secret_part;

	while ((secret_part = find_secret(text, strlen(text))) != NULL)
	{
		for (text = secret_part; is_token_char(*text); text++)
			*text = '*';
	}
}

static void
strong_random(void *buffer, size_t len)
{
	if (!pg_strong_random(buffer, len))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
}

/*
 * A new TypeID under "prefix".  Its first 12 bits after the milliseconds are
 * the microseconds (RFC 9562, section 6.2, method 3), so that what a backend
 * makes one after the other also sorts so.
 */
void
claiim_new_typeid(const char *prefix, char *out, size_t out_size)
{
	static int64 last_us = 0;
	int64		us = UNIX_US(GetCurrentTimestamp());
	uint8		random[10];
	uint8		uuid[16];

	us = Max(us, last_us + 1);
	last_us = us;
	strong_random(random, sizeof(random));
	random[0] = (us % 1000) >> 8;
	random[1] = (us % 1000) & 0xff;
	if (!uuidv7_make(us, random, uuid))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the server's clock shows a time that no identifier can have")));
	typeid_encode(prefix, uuid, out, out_size);
}

/*
 * claiim._typeid(prefix text) -> text
 */
Datum
claiim_typeid(PG_FUNCTION_ARGS)
{
	char		id[TYPEID_MAX_LEN + 1];

	claiim_new_typeid(text_to_cstring(PG_GETARG_TEXT_PP(0)), id, sizeof(id));
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/*
 * claiim._new_token() -> (token_id text, token text, digest bytea)
 *
 * Errors: F0000 if the secret cannot be used.
 */
Datum
claiim_new_token(PG_FUNCTION_ARGS)
{
	char		token[CLAIIM_TOKEN_ID_LEN + 1 + TOKEN_RANDOM_CHARS + 1];
	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];
	uint8		random[TOKEN_RANDOM + 1] = {0};
	bytea	   *digest = palloc(VARHDRSZ + CLAIIM_DIGEST_LEN);
	char	   *out;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	claiim_new_typeid("ctk", token_id, sizeof(token_id));
	strong_random(random, TOKEN_RANDOM);
	memcpy(token, token_id, CLAIIM_TOKEN_ID_LEN);
	out = token + CLAIIM_TOKEN_ID_LEN;
	*out++ = '_';
	for (int i = 0; i < TOKEN_RANDOM_CHARS; i++)
	{
		int			bit = i * 6;
		int			pair = (random[bit / 8] << 8) | random[bit / 8 + 1];

		*out++ = token_alphabet[(pair >> (10 - bit % 8)) & 0x3f];
	}
	*out = '\0';

	SET_VARSIZE(digest, VARHDRSZ + CLAIIM_DIGEST_LEN);
	claiim_token_digest(token, strlen(token), (uint8 *) VARDATA(digest));

	values[0] = CStringGetTextDatum(token_id);
	values[1] = CStringGetTextDatum(token);
	values[2] = PointerGetDatum(digest);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
