#!/usr/bin/env python3
"""Verifies an export of claiim's Chron, offline.

    psql -XAtqf export_chron.sql -d mydb > chron.jsonl
    verify_chron.py chron.jsonl
    verify_chron.py --expect-tip 4711:LINK chron.jsonl
    psql -XAtqf export_chron.sql -v after=4711 -d mydb |
        verify_chron.py --after 4711:LINK

It was written from doc/chron-format.md alone, shares no code with the
extension, and needs nothing but Python 3.9 and its standard library, so that
whoever runs it can read all of what they rely on.  Section numbers in the
comments are those of that page.

Exit status: 0 verified; 1 not; 2 could not be tried (usage, unreadable file).
"""

import argparse
import hashlib
import json
import re
import sys

INT, TEXT, BYTES = 1, 2, 3

# Section 2: column -> (id, type).
FIELDS = {
    "log": (1, TEXT),
    "seq": (2, INT),
    "at": (3, INT),
    "clock": (4, INT),
    "kind": (5, TEXT),
    "outcome": (6, TEXT),
    "agent": (7, TEXT),
    "action": (8, TEXT),
    "target": (9, TEXT),
    "org": (10, TEXT),
    "anchor": (11, TEXT),
    "policy": (12, TEXT),
    "skill": (13, TEXT),
    "baseline": (14, TEXT),
    "rule": (15, TEXT),
    "reason_code": (16, TEXT),
    "reason": (17, TEXT),
    "session": (18, TEXT),
    "approved_by": (19, TEXT),
    "auth": (20, TEXT),
    "token": (21, TEXT),
    "db_user": (22, TEXT),
    "client": (23, TEXT),
    "context_digest": (24, BYTES),
    "actor": (25, TEXT),
    "act": (26, TEXT),
    "subject": (27, TEXT),
    "change": (28, TEXT),
    "detail": (29, TEXT),
}
HASHES = ("leaf", "link")
NEVER_NULL = ("log", "seq", "at", "kind")
DECISION_NEEDS = ("outcome", "agent", "action", "target", "reason_code", "reason")

ROW_PREFIX = b"claiim/chron/row/v1\n"
LINK_PREFIX = b"claiim/chron/link/v1\n"
CONTEXT_PREFIX = b"claiim/chron/context/v1\n"
ZERO_LINK = bytes(32)
MAX_SEQ = 2**62 - 1
MAX_AT = 281474976710655999
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class Bad(Exception):
    """A rule of section 11 that does not hold."""


class BadSeq(Bad):
    """The same, where the bad record is another than the one just read."""

    def __init__(self, seq, why):
        super().__init__(why)
        self.seq = seq


class Result:
    """What verify() found: of the first bad record, "first_bad" is the
    number, or None where its line has none, and "line" the line."""

    def __init__(self):
        self.ok = False
        self.records = 0
        self.first_bad = None
        self.line = None
        self.chron_id = None
        self.problem = None
        self.first_seq = None
        self.tip_seq = None
        self.tip_link = None
        self.tip_id = None
        self.contexts = 0       # verified
        self.no_contexts = 0    # a digest without a context: erased, or not given


def int_in(value, low, high):
    return type(value) is int and low <= value <= high


def hash_from_hex(value):
    """32 bytes from 64 lowercase hexadecimal digits, else None."""
    if type(value) is str and re.fullmatch("[0-9a-f]{64}", value):
        return bytes.fromhex(value)
    return None


def chron_id(at, seq):
    """Section 8; None where there is none."""
    if not int_in(at, 0, MAX_AT) or not int_in(seq, 1, MAX_SEQ):
        return None
    number = (at // 1000 << 80) | 7 << 76 | (at % 1000) << 64 | 2 << 62 | seq
    return "chr_" + "".join(DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def chron_seq(text):
    """The number of the record that an id (section 8) names; None if it is not an id."""
    if type(text) is not str or not re.fullmatch("chr_[%s]{26}" % DIGITS, text):
        return None
    number = 0
    for digit in text[4:]:
        number = number << 5 | DIGITS.index(digit)
    seq = number & MAX_SEQ
    at = (number >> 80) * 1000 + (number >> 64 & 0xfff)
    return seq if chron_id(at, seq) == text else None


def parse_object(line):
    """One line of an export as a dict without its nulls."""
    def no_doubles(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise Bad("a JSON object has a member twice")
        return dict(pairs)

    try:
        found = json.loads(line.decode("utf-8"), object_pairs_hook=no_doubles)
    except (ValueError, RecursionError):
        raise Bad("the line is not JSON in UTF-8") from None
    if type(found) is not dict:
        raise Bad("the line is not a JSON object")
    return {name: value for name, value in found.items() if value is not None}


def value_bytes(name, value):
    """Section 3: the value of a field, with its type and range checked."""
    kind = FIELDS[name][1]
    if kind == INT:
        if name == "seq":
            fits = int_in(value, 1, MAX_SEQ)
        elif name == "at":
            fits = int_in(value, 0, MAX_AT)
        else:
            fits = int_in(value, -2**63, 2**63 - 1)
        if not fits:
            raise Bad("%s is not an integer in its range" % name)
        return value.to_bytes(8, "big", signed=True)
    if kind == BYTES:
        digest = hash_from_hex(value)
        if digest is None:
            raise Bad("%s is not 32 bytes in lowercase hexadecimal" % name)
        return digest
    if type(value) is not str or "\0" in value:
        raise Bad("%s is not a text" % name)
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        raise Bad("%s is not valid Unicode" % name) from None


def record_bytes(record):
    """Section 3: d of a record."""
    fields = []
    for name, value in record.items():
        if name in HASHES:
            continue
        if name not in FIELDS:
            raise Bad("unknown field %s: a newer verifier is needed" % json.dumps(name))
        fields.append((FIELDS[name], value_bytes(name, value)))
    fields.sort()
    d = [ROW_PREFIX, len(fields).to_bytes(2, "big")]
    for (number, kind), value in fields:
        d += [number.to_bytes(2, "big"), bytes([kind]), len(value).to_bytes(4, "big"), value]
    return b"".join(d)


def check_kind(record):
    """Section 5."""
    for name in NEVER_NULL:
        if name not in record:
            raise Bad("%s is missing" % name)
    if record["kind"] == "decision":
        for name in DECISION_NEEDS:
            if name not in record:
                raise Bad("a decision without %s" % name)
        if record["outcome"] not in ("ALLOW", "DENY"):
            raise Bad("the outcome is neither ALLOW nor DENY")
        if "act" in record:
            raise Bad("a decision with an act")
    elif record["kind"] == "act":
        if "act" not in record:
            raise Bad("an act without its name")
        if "outcome" in record:
            raise Bad("an act with an outcome")
        if record["act"] == "action.complete":
            completed = chron_seq(record.get("subject"))
            if "agent" not in record or completed is None or not completed < record["seq"]:
                raise Bad("a completion without an agent, or not of a record before it")
            try:
                detail = parse_object(record.get("detail", "").encode("utf-8"))
            except Bad:
                raise Bad("a completion without a JSON object in detail") from None
            if detail.get("status") not in ("succeeded", "failed", "cancelled"):
                raise Bad("a completion with another status than there are")
    else:
        raise Bad("unknown kind %s: a newer verifier is needed" % json.dumps(record["kind"]))


class Bits:
    """A set of numbers, one bit each: of every record of a long export."""

    def __init__(self):
        self.bytes = bytearray()

    def __contains__(self, number):
        return number >> 3 < len(self.bytes) and bool(self.bytes[number >> 3] >> (number & 7) & 1)

    def add(self, number):
        missing = (number >> 3) + 1 - len(self.bytes)
        if missing > 0:
            self.bytes.extend(bytes(missing))
        self.bytes[number >> 3] |= 1 << (number & 7)


class Chain:
    """What is known of the chain up to the last good record."""

    def __init__(self, after=None):
        self.seq, self.link = after or (0, ZERO_LINK)
        self.start = self.seq
        self.allows = Bits()        # numbers after start, less start
        self.completed = Bits()     # the same
        self.completed_before = set()
        self.at = None
        self.log = None
        self.any_log = after is not None    # the first record's is not known
        self.logs = set()

    def check_log(self, record):
        """Section 6."""
        log = record["log"]
        if record.get("act") != "log.open":
            if self.log is None and not self.any_log:
                raise Bad("the first record of the chain is not log.open")
            if self.log is not None and log != self.log:
                raise Bad("another log without log.open")
            return
        if log in self.logs:
            raise Bad("log.open of a log that was open before")
        if record.get("subject") != log:
            raise Bad("log.open with another log as its subject")
        try:
            previous = parse_object(record.get("detail", "").encode("utf-8")).get("previous_log")
        except Bad:
            raise Bad("log.open without a JSON object in detail") from None
        if previous != self.log and not (self.log is None and self.any_log):
            raise Bad("log.open names another previous log than the record before")

    def check_completion(self, record):
        """Section 5: of an ALLOW, and the only one."""
        if record.get("act") != "action.complete":
            return
        seq = chron_seq(record["subject"])
        # What came before the export is not known, but for what completes it.
        before = seq <= self.start
        number, completed = (seq, self.completed_before) if before \
            else (seq - self.start, self.completed)
        if not before and number not in self.allows:
            raise Bad("a completion of what is not an ALLOW")
        if number in completed:
            raise Bad("a second completion of one action")
        completed.add(number)

    def add(self, record):
        """Section 11, rules 1 to 7."""
        d = record_bytes(record)
        leaf, link = (hash_from_hex(record.get(name)) for name in HASHES)
        if leaf is None or link is None:
            raise Bad("leaf or link is not 32 bytes in lowercase hexadecimal")
        check_kind(record)

        seq, at = record["seq"], record["at"]
        if seq > self.seq + 1:
            missing = "record %d is" % (self.seq + 1)
            if seq > self.seq + 2:
                missing = "records %d to %d are" % (self.seq + 1, seq - 1)
            raise BadSeq(self.seq + 1, "%s missing; found %d instead" % (missing, seq))
        if seq == self.seq:
            raise Bad("the record is there twice")
        if seq < self.seq:
            raise Bad("the record is out of order: it comes after %d" % self.seq)

        if self.at is not None and at < self.at:
            raise Bad("its time is before the time of the record before it")
        if "clock" in record and record["clock"] >= at:
            raise Bad("clock is not before at")
        self.check_log(record)
        self.check_completion(record)

        if hashlib.sha256(b"\0" + d).digest() != leaf:
            raise Bad("its leaf is not the hash of its fields")
        if hashlib.sha256(LINK_PREFIX + self.link + leaf).digest() != link:
            raise Bad("its link does not follow from the link before it")

        self.seq, self.at, self.link, self.log = seq, at, link, record["log"]
        if record.get("outcome") == "ALLOW":
            self.allows.add(seq - self.start)
        self.logs.add(self.log)


def read_contexts(lines):
    """Section 9: seq -> (salt, value)."""
    contexts = {}
    for number, line in enumerate(lines, 1):
        try:
            found = parse_object(line)
            seq, salt, value = (found.get(name) for name in ("seq", "salt", "value"))
            if len(found) != 3 or not int_in(seq, 1, MAX_SEQ) or hash_from_hex(salt) is None \
                    or type(value) is not str or seq in contexts:
                raise Bad("not seq, salt and value, or a second one of its record")
            contexts[seq] = (hash_from_hex(salt), value.encode("utf-8"))
        except (Bad, UnicodeEncodeError) as bad:
            raise Bad("line %d of the contexts: %s" % (number, bad)) from None
    return contexts


def check_context(record, contexts, result):
    """Section 7.  Takes the context out of "contexts"."""
    context = contexts.pop(record["seq"], None)
    if context is None:
        result.no_contexts += "context_digest" in record
        return
    if "context_digest" not in record:
        raise Bad("a context for a record that was made without one")
    if hashlib.sha256(CONTEXT_PREFIX + context[0] + context[1]).hexdigest() \
            != record["context_digest"]:
        raise Bad("its context is not the one that was recorded")
    result.contexts += 1


def verify(lines, expect_tips=(), after=None, contexts=None):
    """Verifies the lines (bytes) of an export.

    expect_tips: (seq, link) that must be in the chain; after: the (seq, link)
    that the export continues; contexts: what read_contexts() returned.
    """
    result = Result()
    chain = Chain(after)
    expected = {}
    for seq, link in expect_tips:
        expected.setdefault(seq, set()).add(link)
    contexts = dict(contexts or {})

    def failed(first_bad, line, problem, at=None):
        result.first_bad, result.line, result.problem = first_bad, line, problem
        result.chron_id = chron_id(at, first_bad)
        return result

    def expectation_fails():
        return any(link != chain.link for link in expected.pop(chain.seq, ()))

    if after and expectation_fails():
        return failed(after[0], None, "--after and --expect-tip name different links")

    for number, line in enumerate(lines, 1):
        record = {}
        try:
            record = parse_object(line)
            chain.add(record)
            check_context(record, contexts, result)
            if expectation_fails():
                raise Bad("its link is not the one that was noted: "
                          "this record, or one before it, was rewritten")
        except BadSeq as bad:
            return failed(bad.seq, number, str(bad))
        except Bad as bad:
            seq = record.get("seq") if type(record.get("seq")) is int else None
            return failed(seq, number, str(bad), record.get("at"))
        result.records += 1
        result.first_seq = result.first_seq or chain.seq
        result.tip_seq, result.tip_link = chain.seq, chain.link.hex()
        result.tip_id = chron_id(chain.at, chain.seq)

    missing = [seq for seq in expected if seq > chain.seq]
    if missing:
        return failed(chain.seq + 1, None, "the chain ends with record %d, and record %d was noted "
                      "earlier: its tail was cut off" % (chain.seq, min(missing)))
    if expected:
        return failed(min(expected), None, "a noted record lies before --after")
    if chain.seq == 0:
        return failed(None, None, "no records: nothing was verified")
    stray = [seq for seq in contexts if seq > (after or (0,))[0]]
    if stray:
        return failed(min(stray), None, "a context of a record that does not exist")
    result.ok = True
    return result


def tip(text):
    """seq:link as of the command line."""
    seq, _, link = text.partition(":")
    # psql shows the link with \x before it; a shell may have taken the backslash.
    link = re.sub(r"\A\\?x", "", link)
    if not re.fullmatch("[0-9]{1,19}", seq) or not int_in(int(seq), 1, MAX_SEQ) \
            or hash_from_hex(link) is None:
        raise argparse.ArgumentTypeError("expected seq:link, with a link of 64 lowercase "
                                         "hexadecimal digits")
    return int(seq), bytes.fromhex(link)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify an export of claiim's Chron, offline.")
    parser.add_argument("export", nargs="?", default="-",
                        help="what export_chron.sql wrote; standard input if absent or -")
    parser.add_argument("--expect-tip", metavar="SEQ:LINK", type=tip, action="append", default=[],
                        help="a tip that was noted earlier; finds a tail that was cut off and a "
                             "chain that was recomputed; may be given several times")
    parser.add_argument("--after", metavar="SEQ:LINK", type=tip,
                        help="the export continues this record, which was verified earlier")
    parser.add_argument("--contexts", metavar="FILE",
                        help="what export_contexts.sql wrote")
    options = parser.parse_args(arguments)

    try:
        contexts = None
        if options.contexts:
            with open(options.contexts, "rb") as file:
                contexts = read_contexts(file)
        if options.export == "-":
            result = verify(sys.stdin.buffer, options.expect_tip, options.after, contexts)
        else:
            with open(options.export, "rb") as file:
                result = verify(file, options.expect_tip, options.after, contexts)
    except OSError as error:
        print("verify_chron: %s" % error, file=sys.stderr)
        return 2
    except Bad as bad:
        print("BAD: %s" % bad)
        return 1

    if not result.ok:
        where = "the export" if result.line is None else "line %d" % result.line
        if result.first_bad is not None:
            where = "record %d" % result.first_bad
            if result.chron_id:
                where += " (%s)" % result.chron_id
            if result.line is not None:
                where += ", line %d" % result.line
        print("BAD: %s: %s\n%d records before it are good"
              % (where, result.problem, result.records))
        return 1

    if result.records == 0:
        print("OK: no records after %d" % options.after[0])
        return 0
    print("OK: %d records, %d to %d" % (result.records, result.first_seq, result.tip_seq))
    if options.contexts:
        print("contexts: %d verified, %d erased or not exported"
              % (result.contexts, result.no_contexts))
    print("tip: %d:%s" % (result.tip_seq, result.tip_link))
    print("last: %s" % result.tip_id)
    if not options.expect_tip:
        print("Without --expect-tip, records cut off the end cannot be found. "
              "Note this tip where the database's administrator cannot write.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
