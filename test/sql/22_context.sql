-- A call's context: a salted digest in Chron, the value beside it.  Erasing
-- the value leaves every proof as it is.

SELECT chron_id FROM claiim_check('x', 'a', 'b', context => '{"amount":  50, "to": "\u00e9"}') \gset one_
SELECT chron_id FROM claiim_check('x', 'a', 'b', context => '{"to": "\u00e9", "amount": 50}') \gset two_
SELECT chron_id FROM claiim_check('x', 'a', 'b', context => 'null') \gset three_
SELECT chron_id FROM claiim_check('x', 'a', 'b') \gset four_

-- The digest, by the formula of doc/chron-format.md
CREATE TEMP VIEW four AS
SELECT v.n, c.seq, c.context_digest, x.salt, x.value
FROM (VALUES (1, :'one_chron_id'), (2, :'two_chron_id'),
             (3, :'three_chron_id'), (4, :'four_chron_id')) AS v (n, id),
     LATERAL claiim._chron_key(v.id) AS k
     JOIN claiim.chron c ON c.seq = k.seq AND c.at = k.at
     LEFT JOIN claiim.contexts x ON x.seq = c.seq;
SELECT n, value,
       context_digest = sha256('claiim/chron/context/v1\012'::bytea || salt || convert_to(value, 'UTF8')) AS digest_is_right,
       length(salt)
FROM four ORDER BY n;

-- The same value has another salt, and so another digest, each time: the
-- digest alone cannot be tried out against guesses.
SELECT count(*), count(DISTINCT context_digest) FROM four WHERE n < 3;

-- Erased, as the law may demand, by whoever owns the tables.
BEGIN;
ALTER TABLE claiim.contexts DISABLE TRIGGER claiim_guard_rows;
DELETE FROM claiim.contexts WHERE seq IN (SELECT seq FROM four WHERE n = 1);
ALTER TABLE claiim.contexts ENABLE ALWAYS TRIGGER claiim_guard_rows;
COMMIT;
SELECT n, value FROM four ORDER BY n;
SELECT ok, problem FROM claiim.verify();
