#!/usr/bin/env python3
"""tools/verify_chron.py finds whatever is done to a chain, and names the record.

Prints TAP.  Chains are made by an encoder of this file's own, so that what the
verifier accepts is not merely what it would write itself.  The same chain is
in chain.txt, against which test_chron_record.c holds the C code; "--write"
renews that file.
"""

import hashlib
import importlib.util
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VERIFIER = os.path.join(ROOT, "tools", "verify_chron.py")
FORMAT_PAGE = os.path.join(ROOT, "doc", "chron-format.md")
FIXTURE = os.path.join(HERE, "chain.txt")

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("verify_chron", VERIFIER)
verify_chron = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify_chron)

# ---------------------------------------------------------------- TAP

count = failures = 0


def ok(condition, sentence):
    global count, failures
    count += 1
    failures += not condition
    print("%s %d - %s" % ("ok" if condition else "not ok", count, sentence))
    return condition


def note(text):
    for line in str(text).splitlines():
        print("# " + line)

# ---------------------------------------------------------------- an encoder

COLUMNS = ("log seq at clock kind outcome agent action target org anchor policy skill baseline "
           "rule reason_code reason session approved_by auth token db_user client context_digest "
           "actor act subject change detail").split()
INTS = ("seq", "at", "clock")


def typed_fields(row):
    """(id, type, value) of the columns that are not NULL, by id."""
    for number, name in enumerate(COLUMNS, 1):
        value = row.get(name)
        if value is None:
            continue
        if name in INTS:
            yield number, 1, struct.pack(">q", value)
        elif name == "context_digest":
            yield number, 3, bytes.fromhex(value)
        else:
            yield number, 2, value.encode("utf-8")


def encode(row):
    fields = list(typed_fields(row))
    d = b"claiim/chron/row/v1\n" + struct.pack(">H", len(fields))
    for number, kind, value in fields:
        d += struct.pack(">HBI", number, kind, len(value)) + value
    return d


def seal(rows, link=bytes(32)):
    """The rows with their leaves and links (again)."""
    sealed = []
    for row in rows:
        leaf = hashlib.sha256(b"\x00" + encode(row)).digest()
        link = hashlib.sha256(b"claiim/chron/link/v1\n" + link + leaf).digest()
        sealed.append(dict(row, leaf=leaf.hex(), link=link.hex()))
    return sealed


def lines(rows):
    return [json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n" for row in rows]


def context_digest(salt, value):
    return hashlib.sha256(b"claiim/chron/context/v1\n" + salt + value.encode("utf-8")).hexdigest()

# ---------------------------------------------------------------- a chain

LOGS = ["log_01m6gb1fkkf9qt3h2yjdr1v25j", "log_01m6gbkz3mez1tkwyc6e1sqkbn"]
SALT = bytes(range(32))
CONTEXT = '{"amount": 50, "note": "für Zoë 👍"}'


def log_open(log, previous):
    return {"log": log, "kind": "act", "act": "log.open", "subject": log,
            "detail": json.dumps({"database": "app", "database_oid": 16384,
                                  "previous_log": previous,
                                  "system_identifier": "7568713904210845093"})}


def decision(**more):
    row = {"kind": "decision", "outcome": "ALLOW", "agent": "deploy-bot",
           "action": "deploy:staging", "target": "api-v2", "org": "acme", "anchor": "s.emp1",
           "policy": "no-prod-v1", "skill": "deploy-v2", "rule": "allow:5 deploy:staging",
           "reason_code": "allowed", "reason": "policy:no-prod-v1 -- action in allow list",
           "auth": "token", "token": "ctk_01m6gb1gzwe3rv0c5m2s9x8y7k", "db_user": "app"}
    row.update(more)
    return row


def bare_chain():
    """Twelve records with every field, every kind and two logs, unsealed."""
    rows = [
        log_open(LOGS[0], None),
        {"kind": "act", "act": "org.bootstrap", "actor": "j.smith", "org": "acme",
         "subject": "acme", "detail": '{"founding": true}', "db_user": "postgres"},
        decision(),
        decision(outcome="DENY", action="deploy:production", rule=None,
                 reason_code="not_in_allow_list", client="10.1.2.3",
                 reason="policy:no-prod-v1 -- action not in allow list"),
        decision(outcome="DENY", agent="nobody", anchor=None, policy=None, skill=None, rule=None,
                 org=None, auth=None, token=None, reason_code="agent_unknown",
                 reason="identity:nobody -- agent is not registered"),
        decision(target='Ünïcödé/"quoted"\\back\u2028slash/\U0001f680', baseline="acme-base-v3",
                 context_digest=context_digest(SALT, CONTEXT)),
        {"kind": "act", "act": "policy.bind", "actor": "a.cto", "org": "acme",
         "subject": "deploy-bot", "change": "chg_01m6gb1gzwe3rv0c5m2s9x8y7k",
         "approved_by": "a.cto, j.smith", "detail": '{"policy": "no-prod-v2"}'},
        decision(clock=1793697299000000, session="ses_01m6gb1gzwe3rv0c5m2s9x8y7k",
                 approved_by="a.cto", client=""),
        log_open(LOGS[1], LOGS[0]),
        {"kind": "act", "act": "writer.start", "subject": ""},
        decision(baseline="", auth="role", token=None),
        decision(outcome="DENY", reason="", detail="{}"),
    ]
    for number, row in enumerate(rows, 1):
        row["seq"] = number
        row["log"] = LOGS[number >= 9]
        # Two records of one batch have the same time.
        row["at"] = 1793697300123456 + 1000007 * (number - (number == 5))
    return rows


CHAIN = seal(bare_chain())
TIP = (12, bytes.fromhex(CHAIN[-1]["link"]))

# ---------------------------------------------------------------- helpers


def run(rows, **options):
    return verify_chron.verify(lines(rows), **options)


def finds(rows, first_bad, sentence, problem="", **options):
    """The verifier names that record, and says something like "problem"."""
    result = run(rows, **options)
    good = not result.ok and result.first_bad == first_bad and re.search(problem, result.problem)
    if not ok(bool(good), sentence):
        note("found: %s, %s; expected: %s, %s"
             % (result.first_bad, result.problem, first_bad, problem))


def accepts(rows, sentence, **options):
    result = run(rows, **options)
    if not ok(result.ok, sentence):
        note("%s: %s" % (result.first_bad, result.problem))
    return result


def changed(index, resealed=False, **columns):
    """The chain with other columns in one row; None is NULL."""
    rows = [dict(row) for row in CHAIN]
    rows[index].update(columns)
    return seal(rows) if resealed else rows


def without(value, *names):
    return {name: old for name, old in value.items() if name not in names}

# ---------------------------------------------------------------- tests


def test_good_chains():
    result = accepts(CHAIN, "a chain of decisions and acts in two logs verifies")
    ok((result.records, result.first_seq, result.tip_seq, result.tip_link)
       == (12, 1, 12, TIP[1].hex()), "its tip is the last record's seq and link")
    accepts(CHAIN[:1], "a chain of one record verifies")
    accepts([without(row, *(name for name in row if row[name] is None)) for row in CHAIN],
            "NULLs may be left out of the export")
    accepts([{name: row.get(name) for name in reversed(COLUMNS + ["leaf", "link"])}
             for row in CHAIN], "the order of members in a line does not matter")
    accepts(changed(7, resealed=True, clock=-1), "a clock that reads a time before 1970 verifies")
    used = set(name for row in CHAIN for name in row if row[name] is not None)
    ok(used == set(COLUMNS) | {"leaf", "link"}, "every field there is occurs in this chain")


def other_values(name, old):
    """What a forger may put in a column's place; None is NULL."""
    if name in INTS:
        news = [1] if old is None else [old + 1, old - 1, None]
    elif name in ("leaf", "link", "context_digest"):
        news = ["00" * 32] if old is None else [old[:-1] + "%x" % (int(old[-1], 16) ^ 1), None]
    elif old is None:
        news = ["", "x"]
    elif old == "":
        news = ["x", None]
    else:
        news = ["", old + " ", old[:-1], old.swapcase(), None]
    return [new for new in news if new != old]


def test_every_field_counts():
    for index, row in enumerate(CHAIN):
        for name in COLUMNS + ["leaf", "link"]:
            missed = []
            for new in other_values(name, row.get(name)):
                result = run(changed(index, **{name: new}))
                # A record without seq has no number, but still a line; one
                # with a higher seq leaves its own missing.
                number = None if name == "seq" and new is None else index + 1
                if name == "seq" and new == index:
                    number = new
                if result.ok or result.first_bad != number or result.line != index + 1:
                    missed.append((new, result.first_bad, result.problem))
                if name in COLUMNS:
                    # Rules aside, the hash alone must find it.
                    forged = without(changed(index, **{name: new})[index], "leaf", "link")
                    try:
                        d = verify_chron.record_bytes(
                            {key: value for key, value in forged.items() if value is not None})
                    except verify_chron.Bad:
                        continue
                    if hashlib.sha256(b"\0" + d).hexdigest() == row["leaf"]:
                        missed.append((new, "same leaf"))
            if not ok(not missed, "record %d: any other %s is found" % (index + 1, name)):
                note(missed)
    finds(changed(7, client=None), 8, "the empty string made NULL is found by the leaf", "leaf")
    finds(changed(3, rule=""), 4, "NULL made the empty string is found by the leaf", "leaf")
    finds(changed(2, agent="deploy-bo", action="tdeploy:staging"), 3,
          "a letter moved from one field to the next is found", "leaf")
    finds(changed(2, skill=None, baseline=CHAIN[2]["skill"]), 3,
          "a value moved to another field is found", "leaf")


def test_rows_removed_added_moved():
    for index in range(len(CHAIN) - 1):
        finds(CHAIN[:index] + CHAIN[index + 1:], index + 1,
              "record %d removed: it is named as missing" % (index + 1), "missing")
    finds(CHAIN[:4] + CHAIN[7:], 5, "three records removed: the first is named",
          "records 5 to 7 are missing")
    for index in range(1, len(CHAIN)):
        renumbered = [dict(row, seq=number)
                      for number, row in enumerate(CHAIN[:index] + CHAIN[index + 1:], 1)]
        if index < len(CHAIN) - 1:
            finds(renumbered, index + 1,
                  "record %d removed and the rest renumbered: the next is named" % (index + 1))
    for index in range(len(CHAIN)):
        finds(CHAIN[:index + 1] + CHAIN[index:], index + 1,
              "record %d there twice is found" % (index + 1), "twice")
        forged = dict(decision(agent="forged"), log=CHAIN[index]["log"], at=CHAIN[index]["at"],
                      seq=index + 2, leaf="00" * 32, link="00" * 32)
        shifted = [dict(row, seq=row["seq"] + 1) for row in CHAIN[index + 1:]]
        finds(CHAIN[:index + 1] + [forged] + shifted, index + 2,
              "a record added after %d is found" % (index + 1), "leaf")
    for index in range(len(CHAIN) - 1):
        swapped = list(CHAIN)
        swapped[index], swapped[index + 1] = swapped[index + 1], swapped[index]
        finds(swapped, index + 1, "records %d and %d swapped in the export are found"
              % (index + 1, index + 2), "missing")
        relabeled = [dict(row) for row in swapped]
        for name in ("seq", "at"):
            relabeled[index][name] = CHAIN[index][name]
            relabeled[index + 1][name] = CHAIN[index + 1][name]
        finds(relabeled, index + 1, "records %d and %d swapped with their numbers exchanged are "
              "found" % (index + 1, index + 2))
    doubled = changed(6, seq=6)
    finds(doubled, 6, "two different records with one seq are found", "twice")
    finds(CHAIN + [CHAIN[3]], 4, "an old record repeated at the end is found", "out of order")


def test_recomputed_chains():
    """Who recomputes the hashes is found by the rules, or by a noted tip."""
    for name in COLUMNS:
        if name not in ("seq", "log"):
            row = CHAIN[5]
            new = row["at"] + 1 if name == "at" else 5 if name == "clock" else \
                "00" * 32 if name == "context_digest" else str(row.get(name)) + "x"
            if name in ("outcome", "kind", "act"):
                continue
            rows = changed(5, resealed=True, **{name: new})
            accepts(rows, "without a noted tip, a chain recomputed for another %s verifies" % name)
            finds(rows, 12, "with a noted tip it does not", "rewritten", expect_tips=[TIP])
    rows = changed(5, resealed=True, outcome="DENY")
    finds(rows, 7, "a tip that was noted in the middle is looked for in the middle", "rewritten",
          expect_tips=[(7, bytes.fromhex(CHAIN[6]["link"])), TIP])
    accepts(rows, "a tip before the change is still there",
            expect_tips=[(5, bytes.fromhex(CHAIN[4]["link"]))])

    half = [dict(row) for row in CHAIN]
    half[5] = dict(seal([half[5]], bytes.fromhex(half[4]["link"]))[0])
    half[5]["outcome"] = "DENY"
    half[5] = seal([half[5]], bytes.fromhex(half[4]["link"]))[0]
    finds(half, 7, "a record changed together with its own hashes breaks the next link", "link")


def test_truncation():
    for length in range(1, len(CHAIN)):
        accepts(CHAIN[:length], "cut off after %d, the chain verifies: nobody witnessed it" % length)
        finds(CHAIN[:length], length + 1, "with the noted tip, %d is named as missing"
              % (length + 1), "cut off", expect_tips=[TIP])
    finds([], None, "an export without records is a failure", "no records")
    finds([], 1, "and with a noted tip, its first record is missing", "cut off", expect_tips=[TIP])
    accepts(CHAIN, "the whole chain has its noted tip", expect_tips=[TIP])
    accepts(CHAIN, "a longer chain than at the noted tip verifies",
            expect_tips=[(9, bytes.fromhex(CHAIN[8]["link"]))])
    result = verify_chron.verify(lines(CHAIN)[:-1] + [lines(CHAIN)[-1][:100]])
    ok(not result.ok and result.line == 12 and "JSON" in result.problem,
       "an export that broke off within a line is found")


def test_continuation():
    after = (7, bytes.fromhex(CHAIN[6]["link"]))
    result = accepts(CHAIN[7:], "an export after a verified record verifies", after=after)
    ok((result.first_seq, result.tip_seq) == (8, 12), "it begins with the next record")
    accepts([], "nothing new after a verified record is no failure", after=TIP)
    finds(CHAIN[7:], 8, "it does not follow from another link", "link", after=(7, bytes(32)))
    finds(CHAIN[8:], 8, "a record missing at its begin is named", "missing", after=after)
    finds(CHAIN[6:], 7, "one that is there already is named", "twice", after=after)
    finds(CHAIN[7:], 1, "without --after such an export is not a chain", "missing")
    finds(CHAIN[7:], 5, "a noted tip before it cannot be checked, which is a failure", "before",
          after=after, expect_tips=[(5, bytes(32))])
    finds(CHAIN[7:], 7, "two links for one record contradict each other", "different",
          after=after, expect_tips=[(7, bytes(32))])
    accepts(changed(0, resealed=True, detail="{}"), "the first log.open may name no log before")
    accepts(CHAIN[8:], "it may begin with a new log", after=(8, bytes.fromhex(CHAIN[7]["link"])))
    rows = seal([dict(CHAIN[7])] + changed(8, detail=log_open(LOGS[1], None)["detail"])[8:],
                bytes.fromhex(CHAIN[6]["link"]))
    finds(rows, 9, "but once a log is known in it, log.open has to name it", "previous log",
          after=after)
    finds(CHAIN[7:11], 12, "its tail may be demanded too", "cut off", after=after,
          expect_tips=[TIP])


def test_rules_beyond_hashes():
    """Records that hash well and are still none."""
    cases = [
        (changed(5, at=CHAIN[4]["at"] - 1), 6, "time that goes back", "time"),
        (changed(5, clock=CHAIN[5]["at"]), 6, "clock that is not behind", "clock"),
        (changed(5, at=-1), 6, "time before 1970", "at is not"),
        (changed(5, at=281474976710656000), 6, "time that no chr_ id can hold", "at is not"),
        (changed(5, seq=2**62), 2**62, "seq that no chr_ id can hold", "seq is not"),
        (changed(5, kind="other"), 6, "unknown kind", "newer verifier"),
        (changed(5, kind=None), 6, "record without kind", "kind is missing"),
        (changed(5, log=None), 6, "record without log", "log is missing"),
        (changed(5, at=None), 6, "record without time", "at is missing"),
        (changed(5, outcome="MAYBE"), 6, "third outcome", "neither"),
        (changed(5, act="policy.bind"), 6, "decision with an act", "with an act"),
        (changed(6, act=None), 7, "act without its name", "without its name"),
        (changed(6, outcome="ALLOW"), 7, "act with an outcome", "with an outcome"),
        (changed(5, log=LOGS[1]), 6, "change of log without log.open", "without log.open"),
        (changed(8, detail=log_open(LOGS[1], None)["detail"]), 9,
         "log.open that hides the log before", "previous log"),
        (changed(8, detail=log_open(LOGS[1], LOGS[1])["detail"]), 9,
         "log.open that names another log before", "previous log"),
        (changed(0, detail=log_open(LOGS[0], LOGS[1])["detail"]), 1,
         "first record that names a log before", "previous log"),
        (changed(8, detail="[]"), 9, "log.open without an object", "without a JSON object"),
        (changed(8, detail=None), 9, "log.open without detail", "without a JSON object"),
        (changed(8, detail='{"previous_log": "%s", "previous_log": null}' % LOGS[0]), 9,
         "log.open with two previous logs", "without a JSON object"),
        (changed(8, subject=LOGS[0]), 9, "log.open with another subject", "subject"),
        (changed(0, act="writer.start"), 1, "chain that does not begin with log.open",
         "not log.open"),
    ]
    for name in verify_chron.DECISION_NEEDS:
        cases.append((changed(5, **{name: None}), 6, "decision without %s" % name, "without"))
    for rows, first_bad, what, problem in cases:
        sealable = all(type(row.get(name)) is int for row in rows for name in ("seq", "at"))
        finds(seal(rows) if sealable else rows, first_bad, "a %s is found" % what, problem)

    # What became of an action: section 5.
    def completed(**more):
        row = {"kind": "act", "act": "action.complete", "agent": "deploy-bot", "org": "acme",
               "subject": verify_chron.chron_id(CHAIN[2]["at"], 3), "auth": "role",
               "context_digest": context_digest(SALT, CONTEXT), "detail": '{"status": "failed"}',
               "log": LOGS[1], "seq": 13, "at": CHAIN[11]["at"]}
        row.update(more)
        return seal([dict(row) for row in CHAIN] + [row])

    accepts(completed(), "a completion is accepted",
            contexts={13: (SALT, CONTEXT.encode("utf-8"))})
    for more, what in (({"agent": None}, "of no agent"), ({"subject": None}, "of no action"),
                       ({"subject": "deploy-bot"}, "of what is no record"),
                       ({"subject": "chr_" + "z" * 26}, "of what is no id"),
                       ({"subject": verify_chron.chron_id(CHAIN[11]["at"], 13)}, "of itself"),
                       ({"subject": verify_chron.chron_id(CHAIN[11]["at"], 14)},
                        "of a record after it"),
                       ({"subject": verify_chron.chron_id(CHAIN[3]["at"], 4)}, "of a DENY"),
                       ({"subject": verify_chron.chron_id(CHAIN[6]["at"], 7)}, "of an act"),
                       ({"detail": None}, "that says nothing"),
                       ({"detail": "failed"}, "in other words than JSON"),
                       ({"detail": '["failed"]'}, "that is no object"),
                       ({"detail": "{}"}, "without a status"),
                       ({"detail": '{"status": "done"}'}, "with a status that there is not"),
                       ({"detail": '{"status": "failed", "status": "succeeded"}'},
                        "with two of them")):
        finds(completed(**more), 13, "a completion %s is found" % what, "completion")
    for status in "succeeded", "cancelled":
        accepts(completed(detail='{"status": "%s"}' % status), "as %s" % status)

    def continued(*subjects):
        rows = [dict(row) for row in CHAIN]
        for number, subject in enumerate(subjects, 13):
            rows.append(dict(completed()[12], seq=number,
                             subject=verify_chron.chron_id(CHAIN[subject - 1]["at"], subject)))
        return seal(rows)

    accepts(continued(3, 6, 11), "several actions are completed")
    finds(continued(3, 6, 3), 15, "a second completion of one action is found", "second completion")
    for start in 3, 10, 12:
        after = (start, bytes.fromhex(CHAIN[start - 1]["link"]))
        accepts(continued(3, 6, 11)[start:], "also in an export that continues record %d" % start,
                after=after)
        finds(continued(3, 6, 6)[start:], 15, "... and a second one is found there",
              "second completion", after=after)
    finds(continued(12)[3:], 13, "a completion of a DENY is found there", "not an ALLOW",
          after=(3, bytes.fromhex(CHAIN[2]["link"])))

    again = [dict(row) for row in CHAIN[:10]] + [dict(log_open(LOGS[0], LOGS[1]), seq=11,
                                                      at=CHAIN[10]["at"])]
    finds(seal(again), 11, "a log that comes back after another is found", "open before")
    again[10] = dict(log_open(LOGS[1], LOGS[1]), seq=11, at=CHAIN[10]["at"])
    finds(seal(again), 11, "a log that is opened twice is found", "open before")


def test_hostile_lines():
    good = json.dumps(CHAIN[5], ensure_ascii=False)
    cases = [
        (good[:-1] + ', "extra": "x"}', "newer verifier", "an unknown member"),
        (good[:-1] + ', "extra": ""}', "newer verifier", "an unknown member, even if empty"),
        (good.replace('"kind"', '"outcome": "DENY", "kind"'), "twice", "a member that is there twice"),
        (good.replace('"seq": 6', '"seq": "6"'), "seq is not", "a seq that is a string"),
        (good.replace('"seq": 6', '"seq": 6.0'), "seq is not", "a seq with a fraction"),
        (good.replace('"seq": 6', '"seq": true'), "seq is not", "a seq that is true"),
        (good.replace('"seq": 6', '"seq": NaN'), "seq is not", "a seq that is not a number"),
        (good.replace('"seq": 6', '"seq": 9' + 5000 * '9'), "", "a seq of 5000 digits"),
        (good.replace('"acme"', '["acme"]'), "not a text", "a list where text belongs"),
        (good.replace('"acme"', '"ac\\u0000me"'), "not a text", "a zero byte in a text"),
        (good.replace('"acme"', '"\\ud800"'), "not valid Unicode", "half a surrogate pair"),
        (good.replace(CHAIN[5]["leaf"], CHAIN[5]["leaf"].upper()), "lowercase", "an uppercase leaf"),
        (good.replace(CHAIN[5]["leaf"], CHAIN[5]["leaf"] + "00"), "32 bytes", "a leaf too long"),
        (good.replace(CHAIN[5]["link"], ""), "32 bytes", "an empty link"),
        (good.replace(CHAIN[5]["context_digest"], "00"), "32 bytes", "a context digest too short"),
        ("[" * 100000, "JSON", "a line nested without end"),
        ("[]", "not a JSON object", "a list"),
        ("", "JSON", "an empty line"),
    ]
    for line, problem, what in cases:
        found = lines(CHAIN)
        found[5] = line.encode("utf-8") + b"\n"
        result = verify_chron.verify(found)
        if not ok(not result.ok and result.line == 6 and re.search(problem, result.problem),
                  "%s is found, and its line named" % what):
            note("%s %s" % (result.line, result.problem))
    found = lines(CHAIN)
    found[5] = found[5].replace("für".encode(), b"f\xfcr").replace("Ü".encode(), b"\xdc")
    result = verify_chron.verify(found)
    ok(not result.ok and result.line == 6, "a line that is not UTF-8 is found")


def test_contexts():
    def read(*rows):
        return verify_chron.read_contexts(lines(rows))

    good = {"seq": 6, "salt": SALT.hex(), "value": CONTEXT}
    result = accepts(CHAIN, "a context fits its digest", contexts=read(good))
    ok((result.contexts, result.no_contexts) == (1, 0), "and is counted")
    result = accepts(CHAIN, "a chain whose contexts were erased verifies", contexts=read())
    ok((result.contexts, result.no_contexts) == (0, 1), "and they are counted")
    finds(CHAIN, 6, "another context is found", "not the one",
          contexts=read(dict(good, value=CONTEXT.replace("50", "51"))))
    finds(CHAIN, 6, "another spelling of the same JSON is found", "not the one",
          contexts=read(dict(good, value=CONTEXT.replace(": ", ":"))))
    finds(CHAIN, 6, "another salt is found", "not the one",
          contexts=read(dict(good, salt="11" * 32)))
    finds(CHAIN, 6, "a letter moved from the value to the salt's end is found", "not the one",
          contexts=read(dict(good, salt=SALT[:31].hex() + "7b", value=CONTEXT[1:])))
    finds(CHAIN, 3, "a context for a record without one is found", "without one",
          contexts=read(good, dict(good, seq=3)))
    finds(CHAIN, 99, "a context of no record is found", "does not exist",
          contexts=read(good, dict(good, seq=99)))
    accepts(CHAIN[6:], "contexts of records before --after do no harm", contexts=read(good),
            after=(6, bytes.fromhex(CHAIN[5]["link"])))
    for rows, what in [([good, good], "two contexts of one record"),
                       ([without(good, "salt")], "a context without salt"),
                       ([dict(good, more=1)], "a context with more members"),
                       ([dict(good, salt="00")], "a short salt")]:
        try:
            read(*rows)
            ok(False, "%s: refused" % what)
        except verify_chron.Bad:
            ok(True, "%s: refused" % what)


def test_command_line():
    with tempfile.TemporaryDirectory() as directory:
        export = os.path.join(directory, "chron.jsonl")
        contexts = os.path.join(directory, "contexts.jsonl")
        with open(export, "wb") as file:
            file.writelines(lines(CHAIN))
        with open(contexts, "wb") as file:
            file.writelines(lines([{"seq": 6, "salt": SALT.hex(), "value": CONTEXT}]))

        def call(*arguments, stdin=b""):
            done = subprocess.run([sys.executable, VERIFIER, *arguments], input=stdin,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            return done.returncode, done.stdout.decode()

        noted = "12:" + CHAIN[-1]["link"]
        status, out = call(export)
        ok(status == 0 and "OK: 12 records, 1 to 12\n" in out and "tip: %s\n" % noted in out,
           "exit status 0 and the tip for a good export")
        ok("Without --expect-tip" in out, "without a noted tip it says what cannot be found")
        status, out = call("--expect-tip", noted, "--contexts", contexts, export)
        ok(status == 0 and "contexts: 1 verified, 0 erased" in out and "Without" not in out,
           "with the tip and the contexts it does not")
        status, out = call(stdin=b"".join(lines(CHAIN)))
        ok(status == 0, "the export may come on standard input")
        status, out = call(stdin=b"".join(lines(changed(5, agent="x"))))
        ok(status == 1 and "BAD: record 6 (%s), line 6: its leaf"
           % verify_chron.chron_id(CHAIN[5]["at"], 6) in out,
           "exit status 1, the number, id and line of the first bad record")
        status, out = call("--expect-tip", noted, stdin=b"".join(lines(CHAIN[:-1])))
        ok(status == 1 and "BAD: record 12: the chain ends with record 11" in out,
           "exit status 1 where the tail was cut off")
        status, out = call("-", stdin=b"")
        ok(status == 1, "exit status 1 for an empty export")
        status, out = call("--after", noted, stdin=b"")
        ok(status == 0, "exit status 0 for an empty continuation")
        status, out = call(os.path.join(directory, "absent"))
        ok(status == 2 and "Traceback" not in out, "exit status 2 for a file that is not there")
        for wrong in ("12", "12:zz", "0:" + 64 * "0", "-1:" + 64 * "0", "12:" + 64 * "A"):
            status, out = call("--expect-tip=" + wrong, export)
            ok(status == 2 and "seq:link" in out, "exit status 2 for the tip %s" % wrong[:8])


def test_chron_ids():
    ok(verify_chron.chron_id(1793697301500007, 2) == "chr_01m6gb1gzwe03r000000000002",
       "the id of a record is as in the format page")
    ok(verify_chron.chron_id(0, 0) is None and verify_chron.chron_id(-1, 1) is None,
       "there is no id for seq 0 or a time before 1970")
    ok(all(verify_chron.chron_seq(verify_chron.chron_id(at, seq)) == seq
           for at in (0, 1793697301500007, verify_chron.MAX_AT)
           for seq in (1, 2, verify_chron.MAX_SEQ)), "an id names its record")
    ok(not any(map(verify_chron.chron_seq, (
        None, 7, "", "chr_", "chr_01m6gb1gzwe03r00000000000", "CHR_01m6gb1gzwe03r000000000002",
        "chr_01m6gb1gzwe03R000000000002", "chr_81m6gb1gzwe03r000000000002",
        "chr_01m6gb1gzwe03r000000000000", "chr_01m6gb1gzwz03r000000000002",
        "log_01m6gb1fkkf9qt3h2yjdr1v25j"))), "what is no id names none")


def test_format_page():
    """What doc/chron-format.md shows is what is."""
    with open(FORMAT_PAGE, encoding="utf-8") as file:
        page = file.read()
    example = re.search(r"```json\n(.*?)```", page, re.S).group(1)
    result = verify_chron.verify(example.encode("utf-8").splitlines(True))
    ok(result.ok and result.records == 2, "the example of the format page verifies")
    rows = [json.loads(line) for line in example.splitlines()]
    ok([without(row, "leaf", "link") for row in rows]
       == [without(row, "leaf", "link") for row in seal(rows)]
       and rows == seal(rows), "this file's encoder gives its leaves and links")
    for row in rows:
        shown = re.sub(r"\n", "", "".join(re.findall(
            r"All %d bytes of `d`:\n\n```\n(.*?)```" % len(encode(row)), page, re.S)))
        ok(shown == encode(row).hex(), "the bytes of example record %d are shown" % row["seq"])
        ok("id `%s`" % verify_chron.chron_id(row["at"], row["seq"]) in page,
           "the id of example record %d is shown" % row["seq"])
    ok(context_digest(SALT, '{"ticket": "OPS-7"}') == rows[1]["context_digest"],
       "its context digest is that of the salt and value shown")
    table = re.findall(r"^\| (\d+) \| `(\w+)` \| (\w+) \|", page, re.M)
    kinds = {"int": 1, "text": 2, "bytes": 3}
    ok({name: (int(number), kinds[kind]) for number, name, kind in table} == verify_chron.FIELDS,
       "the fields of the format page are those of the verifier")
    ok([name for _, name, _ in table] == COLUMNS, "and those of this test")
    for name in ("export_chron.sql", "recompute_chron.sql"):
        with open(os.path.join(ROOT, "tools", name), encoding="utf-8") as file:
            ok("```sql\n%s```" % file.read() in page, "tools/%s is printed as it is" % name)


def fixture():
    text = ["# A chain for test_chron_record.c; made by test_verify.py --write"]
    for row in CHAIN:
        text.append("record %d" % row["seq"])
        text += ["field %d %d %s" % (number, kind, value.hex() or "-")
                 for number, kind, value in typed_fields(row)]
        text += ["leaf " + row["leaf"], "link " + row["link"]]
    return "\n".join(text) + "\n"


def main():
    if sys.argv[1:] == ["--write"]:
        with open(FIXTURE, "w", encoding="ascii") as file:
            file.write(fixture())
        return 0
    with open(FIXTURE, encoding="ascii") as file:
        ok(file.read() == fixture(), "chain.txt, for the C code, is this chain")
    for test in (test_good_chains, test_every_field_counts, test_rows_removed_added_moved,
                 test_recomputed_chains, test_truncation, test_continuation,
                 test_rules_beyond_hashes, test_hostile_lines, test_contexts, test_command_line,
                 test_chron_ids, test_format_page):
        test()
    print("1..%d" % count)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
