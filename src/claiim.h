/*-------------------------------------------------------------------------
 *
 * claiim.h
 *	  What claiim's server-side files share, in sections named after them.
 *
 * The plain-C parts (policy_*.c, chron_record.c, typeid.c, arena.c) have
 * headers of their own and never include this one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_H
#define CLAIIM_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "portability/instr_time.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/array.h"

#include "chron_record.h"
#include "policy.h"
#include "typeid.h"

/* Marks the library's own errors; there is no catalog of translations. */
#undef TEXTDOMAIN
#define TEXTDOMAIN "claiim"

#define CLAIIM_VERSION	"0.1.0"

/* Bounds on what callers pass, in bytes; doc/decisions.md states them. */
#define CLAIIM_MAX_AGENT	128
#define CLAIIM_MAX_ACTION	256
#define CLAIIM_MAX_TARGET	1024
#define CLAIIM_MAX_SESSION	TYPEID_MAX_LEN
#define CLAIIM_MAX_CONTEXT	8192

/* ses_ and 26 characters */
#define CLAIIM_SESSION_ID_LEN (3 + 1 + TYPEID_SUFFIX_LEN)

/*
 * The time in us by a clock that nobody sets, the same in all processes: for
 * deadlines and pauses.  The time of day may be put back under who waits.
 */
static inline int64
claiim_ticks(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* In ticks, so many ms from now. */
#define CLAIIM_DEADLINE(ms) (claiim_ticks() + (int64) (ms) * 1000)

/* guc.c */
extern char *claiim_token_secret_file;
extern int	claiim_max_databases;
extern int	claiim_queue_size;
extern int	claiim_queue_timeout;	/* ms */
extern bool claiim_allow_drop_chron;
extern void claiim_guc_init(void);

/*
 * shmem.c
 *
 * One ClaiimDatabase for every database in which claiim is used, found by
 * OID and never freed before a restart except by DROP DATABASE.
 */
typedef enum WriterState
{
	WRITER_NONE,				/* nobody; the next caller starts one */
	WRITER_STARTING,			/* registered, not yet ready */
	WRITER_RUNNING
} WriterState;

/* What is counted in a database; stats.c says by whom. */
#define STATS_REASONS		64
#define STATS_REASON_SIZE	32
#define STATS_BUCKETS		16

typedef struct ClaiimStats
{
	/* By the writer. */
	pg_atomic_uint64 allowed;
	pg_atomic_uint64 denied;
	pg_atomic_uint64 acts;
	pg_atomic_uint64 reevaluated;	/* an ALLOW sent back, for governance came first */
	pg_atomic_uint64 failed;	/* not recorded, and the caller told so */
	pg_atomic_uint64 batches;
	pg_atomic_uint64 largest_batch;
	pg_atomic_uint64 commit_us;
	pg_atomic_uint64 latency_us;
	pg_atomic_uint64 latency[STATS_BUCKETS];
	pg_atomic_uint64 reasons[STATS_REASONS];
	/* By callers. */
	pg_atomic_uint64 queue_waits;	/* there was no place in the queue */
	pg_atomic_uint64 queue_refused; /* and stayed so */
	pg_atomic_uint64 unconfirmed;	/* gave up waiting for the writer */

	/* Guarded by ClaiimShared.lock. */
	TimestampTz since;
	TimestampTz verified_at;	/* 0: not since the server started */
	bool		verified_ok;
	int64		verified_seq;
} ClaiimStats;

typedef struct ClaiimDatabase
{
	Oid			oid;			/* InvalidOid: this place is free */

	/*
	 * Bumped by every governance commit.  A request carries the epoch that
	 * was current before its evaluation began reading.
	 */
	pg_atomic_uint64 epoch;

	/* Waiting requests, the latest first: a slot's index plus one, or 0. */
	pg_atomic_uint32 queue_head;
	pg_atomic_uint32 queue_length;

	/* Slots that are not on the free list on its account; who wants one. */
	pg_atomic_uint32 slots_held;
	pg_atomic_uint32 slot_waiters;
	ConditionVariable slot_freed;

	/* The rest is guarded by ClaiimShared.lock. */
	bool		acts_waiting;	/* committed acts may be in the outbox */
	WriterState writer_state;
	pid_t		writer_pid;
	PGPROC	   *writer_proc;
	uint64		writer_generation;	/* which start this is */
	TimestampTz writer_started;
	int64		writer_registered;	/* the same in ticks */
	int64		writer_retry_at;	/* in ticks: none is started before */
	char		writer_error[256];	/* why the last one ended, or "" */
	int			holds;			/* commands that need the writer away */
	ConditionVariable writer_changed;

	/* What the writer last made durable, to notice a tail that vanished. */
	Oid			chron_relid;
	int64		last_seq;

	ClaiimStats stats;
} ClaiimDatabase;

typedef struct ChronRequest ChronRequest;

typedef struct ClaiimShared
{
	LWLock	   *lock;
	int			nslots;
	pg_atomic_uint64 free_head; /* see chron_queue.c */
	pg_atomic_uint32 nfree;		/* never more than are on the list */
	int			nused;			/* places of databases; set under lock */
	int			nreasons;		/* under lock */
	char		reasons[STATS_REASONS][STATS_REASON_SIZE];
	int			ndatabases;
	ClaiimDatabase databases[FLEXIBLE_ARRAY_MEMBER];
} ClaiimShared;

extern ClaiimShared *claiim_shared; /* NULL: not preloaded */

extern void claiim_shmem_init(void);
extern ChronRequest *claiim_request_slot(int index);
extern ClaiimDatabase *claiim_my_database(void);
extern ClaiimDatabase *claiim_find_database(Oid oid);
extern void claiim_forget_database(Oid oid);
extern void claiim_require_preload(void);

/* hooks.c */
extern void claiim_hooks_init(void);

/* chron_guard.c */
struct Node;
extern void chron_guard_init(void);
extern void chron_guard_utility(struct Node *statement);

/* log_mask.c */
extern void claiim_log_mask_init(void);

/* explain_guard.c */
extern void explain_guard_init(void);

/* catalog.c */
typedef enum ClaiimTable
{
	TABLE_CHRON,
	TABLE_CONTEXTS,
	TABLE_LOGS,
	TABLE_OUTBOX,
	TABLE_ORGS,
	TABLE_HUMANS,
	TABLE_AGENTS,
	TABLE_ANCHORS,
	TABLE_BINDINGS,
	TABLE_TARGETS,
	TABLE_TOKENS,
	TABLE_POLICY_VERSIONS,
	TABLE_SKILL_VERSIONS,
	TABLE_SESSIONS,
	TABLE_SESSION_USES,
	TABLE_COMPLETIONS,
	CLAIIM_NTABLES
} ClaiimTable;

typedef struct ClaiimCatalog
{
	Oid			extension;
	Oid			schema;
	Oid			owner;			/* the extension's owner */
	Oid			tables[CLAIIM_NTABLES];
} ClaiimCatalog;

extern void claiim_catalog_init(void);
extern const ClaiimCatalog *claiim_catalog(bool missing_ok);
extern uint64 claiim_catalog_generation(void);

/*
 * Running our own queries: as the extension's owner, with a pinned
 * search_path, and (for reads) against the latest committed state even
 * inside an old REPEATABLE READ snapshot.
 */
typedef struct OwnerScope
{
	Oid			save_user;
	int			save_context;
	int			guc_level;
	bool		snapshot;
} OwnerScope;

extern void claiim_owner_begin(OwnerScope *scope, bool latest_snapshot);
extern void claiim_owner_end(OwnerScope *scope);

/* A saved SPI plan, prepared at first use. */
typedef struct ClaiimQuery
{
	const char *text;
	int			nargs;
	Oid			argtypes[9];
	void	   *plan;			/* SPIPlanPtr */
} ClaiimQuery;

extern int	claiim_query(ClaiimQuery *query, Datum *values, const char *nulls,
						 bool read_only, long limit);

/* names.c */
extern char *claiim_text_arg(text *value, const char *what, size_t max,
							 size_t *len);

/* token.c */
#define CLAIIM_DIGEST_LEN	32
#define CLAIIM_TOKEN_ID_LEN (3 + 1 + TYPEID_SUFFIX_LEN)

extern void claiim_hide_statement(ErrorContextCallback *callback);
extern bool claiim_has_token(const char *text, size_t len);
extern void claiim_mask_tokens(char *text);
extern bool claiim_token_split(const char *token, size_t len,
							   char token_id[CLAIIM_TOKEN_ID_LEN + 1]);
extern void claiim_token_digest(const char *token, size_t len,
								uint8 digest[CLAIIM_DIGEST_LEN]);
extern bool claiim_digest_equal(const uint8 *a, const uint8 *b);
extern void claiim_new_typeid(const char *prefix, char *out, size_t out_size);

/* network.c */
struct ArrayType;
extern bool claiim_client_is_in(struct ArrayType *networks);

/* directory.c */
typedef struct TokenEntry
{
	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];	/* hash key */
	char		agent[CLAIIM_MAX_AGENT + 1];	/* whose it is */
	uint8		digest[CLAIIM_DIGEST_LEN];
	TimestampTz expires_at;		/* DT_NOEND: never */
	bool		revoked;
	bool		elsewhere;		/* not valid from where our client is */
} TokenEntry;

typedef struct SessionEntry
{
	NamedSession session;
	struct SessionEntry *next;
} SessionEntry;

typedef struct AgentEntry
{
	char		agent[CLAIIM_MAX_AGENT + 1];	/* hash key */
	char	   *org;
	AgentStatus status;
	char	   *role_name;		/* NULL: none bound */
	char	   *anchor;			/* NULL: none */
	bool		anchor_active;
	char	   *suspended_org;	/* NULL: none */
	TimestampTz emergency_until;	/* what break-glass did lapses; DT_NOEND: none */
	char	   *emergency_org;	/* whose that is; NULL: the agent's own */
	NamedPolicy *policy;		/* NULL: none bound */
	int			nskills;
	NamedSkill *skills;
	char	   *skill_names;	/* all of them, comma separated */
	int			nbaselines;
	NamedPolicy *baselines;
	char	   *baseline_names; /* NULL: none */
	int			nsessions;		/* granted, and not over when they were read */
	NamedSession *sessions;
	SessionEntry *other_sessions;	/* others that were passed and found */
} AgentEntry;

extern void directory_forget(void);
extern AgentEntry *directory_agent(const char *agent, uint64 epoch);
extern const TokenEntry *directory_token(const char *token_id);
extern const char *directory_target_org(const char *target, size_t len);
extern const NamedSession *directory_session(AgentEntry *entry,
											 const char *session);
extern void directory_session_used_up(AgentEntry *entry, const char *session);
extern bool directory_reload_uses(AgentEntry *entry);

/* session.c */
extern int	session_load_open(const char *agent, MemoryContext context,
							  NamedSession **sessions);
extern bool session_reload_uses(const char *agent, int nsessions,
								NamedSession *sessions);
extern bool session_load(const char *session, const char *org,
						 MemoryContext context, NamedSession *loaded);
extern bool directory_org_has_target(const char *org, const char *pattern);
extern bool directory_declares(ArrayType *declared, const char *version);

/* policy_store.c */
extern void policy_store_trim(void);
extern PolicyProgram *policy_store_policy(const char *version);
extern SkillProgram *policy_store_skill(const char *version);
extern Arena *claiim_arena(MemoryContext context);

/* question.c */
/* What is asked. */
typedef struct Asked
{
	char	   *action;
	size_t		action_len;
	char	   *target;
	size_t		target_len;
} Asked;

typedef struct Question
{
	char	   *agent;
	size_t		agent_len;
	char	   *token;			/* NULL: not given */
	size_t		token_len;
	char	   *session;		/* NULL: not given */
	char	   *context;		/* NULL: not given; the text of a JSON value */
	size_t		context_len;
	int			nitems;
	Asked	   *items;
} Question;

struct FunctionCallInfoBaseData;
extern char *question_json(Datum jsonb, const char *what, size_t *len);
extern void question_read_one(struct FunctionCallInfoBaseData *fcinfo,
							  Question *question);
extern void question_read_many(struct FunctionCallInfoBaseData *fcinfo,
							   Question *question);

/* gate.c */

/* So often a caller tries before it asks governance to wait. */
#define CLAIIM_ROUNDS	3

extern PGDLLEXPORT Datum claiim_check(struct FunctionCallInfoBaseData *fcinfo);
#define CLAIIM_CHECK_ARGS	6
#define CLAIIM_ANSWER_COLUMNS	12
extern TupleDesc claiim_answer_desc(void);
extern void claiim_answer(struct FunctionCallInfoBaseData *fcinfo,
						  Datum *values, bool *nulls);
extern void gate_agent_input(const AgentEntry *entry, TimestampTz now,
							 DecisionInput *input);

/* check_scan.c */
extern void claiim_check_scan_init(void);

/* identity.c */
typedef struct Identity
{
	IdentityResult result;
	const char *auth;			/* "role", "token", "transaction"; NULL: not */
	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];	/* the one shown, or "" */
	TimestampTz not_after;		/* when it is proved no more; DT_NOEND: never */
} Identity;

extern void claiim_identity_init(void);
extern void identity_prove(const AgentEntry *entry, const char *agent,
						   const char *token, size_t token_len,
						   TimestampTz now, Identity *identity);
extern void identity_require(Identity *identity);

/* caller.c */
extern void claiim_caller_init(void);
extern const char *claiim_session_user_name(void);
extern void claiim_require_execute(Oid function);

/* governance.c */
extern void claiim_governance_init(void);
extern void claiim_refuse_governing(const char *what);
extern bool claiim_may_erase(void);
extern void claiim_batch_locktag(LOCKTAG *tag);
extern void claiim_log_locktag(LOCKTAG *tag);
extern int64 claiim_hold_epoch(int64 deadline);
extern void claiim_release_epoch(void);
extern const char *claiim_client_address(void);

/* direct.c */
extern void claiim_direct_init(void);
extern bool claiim_called_directly(void);
extern void claiim_rethrow_without_context(MemoryContext context);

/*
 * chron_queue.c
 *
 * A request is filled by its caller and owned by one side at a time; the
 * state says which.  doc/chron-internals.md has the state machine.
 */
typedef enum RequestState
{
	REQUEST_FREE,				/* on the free list */
	REQUEST_FILLING,			/* the caller's */
	REQUEST_QUEUED,				/* in the database's queue */
	REQUEST_IN_FLIGHT,			/* the writer's */
	REQUEST_RECORDED,			/* durable; the caller reads the result */
	REQUEST_STALE,				/* not recorded: evaluate again */
	REQUEST_FAILED				/* not recorded, or unknown: see sqlstate */
} RequestState;

/* Or'ed into the state: its caller has left; its caller wants to be woken. */
#define REQUEST_ABANDONED	0x100
#define REQUEST_WATCHED		0x200

#define REQUEST_STATE(state) ((RequestState) ((state) & 0xff))
#define REQUEST_FINISHED(state) (REQUEST_STATE(state) > REQUEST_IN_FLIGHT)

#define CLAIIM_REQUEST_BYTES	16384

struct ChronRequest
{
	pg_atomic_uint32 state;
	int			index;
	int			next;			/* in the free list or the queue; -1: none */
	bool		allow;			/* holds only under the following */
	int			reason;			/* stats_reason() of its reason code */
	TimestampTz asked_at;
	uint64		epoch;
	TimestampTz not_after;		/* at and after it it is stale; DT_NOEND: never */
	int64		max_uses;		/* of the session, 0: any number */
	char		session[CLAIIM_SESSION_ID_LEN + 1]; /* takes a use of it; "": none */
	int64		completes;		/* the decision whose action it completes, or 0 */
	char		completion[12]; /* what became of that */
	PGPROC	   *owner;
	ClaiimDatabase *database;	/* which holds it; NULL: none ever did */

	/* The result. */
	int64		seq;
	TimestampTz at;				/* if STALE, when it was found to be */
	bool		used_up;		/* STALE, because the session has no use left */
	int			sqlstate;
	char		message[256];

	char		token_id[CLAIIM_TOKEN_ID_LEN + 1];	/* proved by it, or "" */

	/* What is asked for: encoded fields, then salt and context value. */
	int			nfields;
	uint32		fields_len;
	uint32		context_len;	/* 0: none */
	uint8		salt[CHRON_SALT_LEN];
	uint8		data[CLAIIM_REQUEST_BYTES];
};

/* what: "decision" or "completion", for errors. */
extern void chron_queue_reserve(ClaiimDatabase *db, int n,
								ChronRequest **requests, const char *what,
								int64 deadline);
extern void chron_queue_push(ClaiimDatabase *db, int n, ChronRequest **requests);
extern void chron_queue_wait(ClaiimDatabase *db, int n, ChronRequest **requests,
							 const char *what, int64 deadline);
extern void chron_queue_release(int n, ChronRequest **requests);
extern void chron_queue_free_slot(ChronRequest *request);

/* The writer's side. */
extern void chron_queue_writer_init(void);
extern bool chron_queue_waiting(ClaiimDatabase *db);
extern int	chron_queue_length(ClaiimDatabase *db);
extern int	chron_queue_take(ClaiimDatabase *db, ChronRequest **requests);
extern void chron_queue_finish(int n, ChronRequest **requests,
							   const RequestState *states);
extern void chron_queue_wake_all(ClaiimDatabase *db);

/* chron_gather.c */
extern void chron_gather_note(int n, int64 commit_us, int waiting);
extern void chron_gather(ClaiimDatabase *db);

/* chron_wait.c */
typedef struct Sleeper
{
	int			slot;
	PGPROC	   *owner;
} Sleeper;

extern Size chron_wait_size(void);
extern void chron_wait_init(void);
extern void chron_sleep(ChronRequest *request, long ms, uint32 wait_event);
extern void chron_wake(int n, const Sleeper *sleepers);

/* stats.c */
extern void stats_init(ClaiimStats *stats);
extern void stats_start(ClaiimStats *stats);
extern int	stats_reason(const char *code);
extern void stats_batch(ClaiimStats *stats, int n, ChronRequest **requests,
						const RequestState *states, int acts, int64 commit_us);
extern void stats_verified(bool ok, int64 last_seq);
/* chron_request.c: what is asked to be recorded */
extern void chron_request_start(ChronRequest *request, ChronEncoder *enc);
extern void chron_request_context(ChronRequest *request, ChronEncoder *enc,
								  const char *context, size_t len);
extern void chron_request_end(ChronRequest *request, const ChronEncoder *enc,
							  const char *context, size_t len);

/* chron_launch.c: starting, stopping and keeping away the writer */
extern void chron_ensure_writer(ClaiimDatabase *db, const char *what,
								int64 deadline);
extern void chron_try_start_writer(ClaiimDatabase *db);
extern void chron_writer_hold(Oid database);
extern void chron_writer_unhold(Oid database);
extern void chron_writer_args(Oid *database, uint64 *generation);

/* chron_batch.c */
extern void chron_batch_start(ClaiimDatabase *db, uint64 generation);
extern bool chron_batch_run(void);
extern void chron_batch_ensure_partitions(void);
extern void chron_batch_abandon(void);
extern void chron_batch_abort(MemoryContext context);

/* token_use.c */
extern void token_use_note(const char *token_id, TimestampTz at);
extern bool token_use_due(void);
extern long token_use_wait(long ms);
extern bool token_use_write(void);
extern void token_use_forget(void);
extern void token_use_stop(void);
/* chron_uses.c: what the writer counts */
extern void chron_uses_forget(void);
extern bool chron_uses_take(const char *session, int64 max_uses, TimestampTz at);
extern void chron_uses_write(void);

/* completion.c */
extern bool completion_insert(const ChronRequest *request, int64 seq,
							  TimestampTz at);

/* chron_beside.c: what verify() compares with the records */
typedef struct ChronFault
{
	int64		seq;			/* of the record; 0: it is none's */
	char		problem[256];	/* "": none */
} ChronFault;

typedef struct ChronBeside ChronBeside;

extern ChronBeside *chron_beside_begin(void);
extern bool chron_beside_check(ChronBeside *beside, int64 seq,
							   HeapTuple record, TupleDesc desc,
							   ChronFault *result);
extern bool chron_beside_end(ChronBeside *beside, ChronFault *result);
extern bool chron_beside_count(ChronBeside *beside, ChronFault *result);
extern void chron_beside_close(ChronBeside *beside);

/* chron_verify.c */
extern void claiim_decode_chron_id(text *id, int64 *seq, TimestampTz *at);

/* chron_writer.c */
extern bool claiim_am_writer;
extern PGDLLEXPORT void claiim_writer_main(Datum main_arg);

/* chron_log.c: which log this is, and where its chain ends */
typedef struct ChronTip
{
	int64		seq;
	int64		at;				/* Unix microseconds */
	uint8		link[CHRON_HASH_LEN];
	char		log[TYPEID_MAX_LEN + 1];
} ChronTip;

extern void chron_log_init(void);
extern bool chron_log_is_open(void);
extern int64 chron_last_log_start(void);
extern int64 chron_last_acknowledged(void);
extern void chron_read_tip(ChronTip *tip);
extern bool chron_find_log(char log[TYPEID_MAX_LEN + 1], int64 *first_seq);
extern void chron_lock_log(void);
extern void chron_insert_log(const char *log, int64 first_seq);

/* chron_store.c: records as rows */
typedef struct ChronInserter ChronInserter;

extern ChronInserter *chron_insert_begin(void);
extern void chron_insert(ChronInserter *inserter, int64 unix_us,
						 const ChronEncoder *writer_fields,
						 const uint8 *caller_fields, size_t caller_len,
						 const uint8 *leaf, const uint8 *link);
extern void chron_insert_end(ChronInserter *inserter);
extern void chron_encode_row(HeapTuple tuple, TupleDesc desc,
							 StringInfo buffer, ChronEncoder *enc);

#define UNIX_US(timestamptz) \
	((timestamptz) + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
#define FROM_UNIX_US(us) \
	((us) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* chron_partition.c */
extern void chron_ensure_partition(int64 unix_us, int months_ahead);
extern Oid	chron_partition_for(int64 unix_us, int64 *from_us, int64 *until_us);

#endif							/* CLAIIM_H */
