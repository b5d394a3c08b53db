// May the agent do this, now?  Exit status 0: ALLOW.  1: DENY.  2: no answer,
// and so no.
//
//   npm ci
//   node check.js AGENT ACTION TARGET && the action
//
// It connects as libpq would (PGHOST, PGUSER, PGPASSWORD, ...).  A role that is
// bound to the agent needs no token; else it is in CLAIIM_TOKEN.

const { Client } = require('pg');

const question =
  'SELECT outcome, chron_id, reason FROM pg_catalog.claiim_check($1, $2, $3, token => $4)';

async function check(agent, action, target, token) {
  const client = new Client();
  try {
    await client.connect();
    const { rows } = await client.query(question, [agent, action, target, token]); // bound, never in the text
    console.log(rows[0].outcome, rows[0].chron_id, rows[0].reason);
    return rows[0].outcome === 'ALLOW';
  } finally {
    await client.end().catch(() => {});
  }
}

check(...process.argv.slice(2, 5), process.env.CLAIIM_TOKEN ?? null).then(
  (allowed) => process.exit(allowed ? 0 : 1),
  (error) => {
    console.error('no answer:', error.message);
    process.exit(2);
  },
);
