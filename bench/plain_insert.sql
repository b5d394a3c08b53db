-- Prints the script of workload (b): the INSERT of the newest real ALLOW, value by
-- value, so that it is exactly as wide.  Colons are written as \x3a, since pgbench
-- would take what follows one for a variable's name.

SELECT format('INSERT INTO bench.plain (seq, at, %s) VALUES (nextval(''bench.plain_seq''), clock_timestamp(), %s);',
    string_agg(quote_ident(key), ', ' ORDER BY place),
    string_agg('E''' || replace(replace(replace(value, '\', '\\'), '''', ''''''), ':', '\x3a') || '''', ', ' ORDER BY place))
FROM (SELECT * FROM claiim.chron WHERE outcome = 'ALLOW' ORDER BY seq DESC LIMIT 1) AS newest,
    json_each_text(to_json(newest)) WITH ORDINALITY AS field (key, value, place)
WHERE key NOT IN ('seq', 'at') AND value IS NOT NULL;
