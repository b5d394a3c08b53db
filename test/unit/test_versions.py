#!/usr/bin/env python3
"""One version of claiim everywhere, and one place that knows server versions.

Prints TAP.  What a release says of itself in META.json (by PGXN's Meta Spec
1.0.0), the control file, the library, the changelogs and the packages agrees,
and every version that was released can still be updated from.
"""

import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
LICENSES = """agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted
unrestricted unknown""".split()

count = failures = 0


def ok(condition, sentence, *why):
    global count, failures
    count += 1
    failures += not condition
    print("%s %d - %s" % ("ok" if condition else "not ok", count, sentence))
    if not condition:
        for line in why:
            print("# %s" % (line,))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def found(pattern, text):
    match = re.search(pattern, text, re.M)
    return match.group(1) if match else None

# ---------------------------------------------------------------- one version

version = found(r"^default_version = '(.*)'$", read("claiim.control"))
ok(version and SEMVER.fullmatch(version), "claiim.control has a semantic version", version)

# CHANGELOG.md: "## VERSION - DATE" of what was released, newest first.
headings = re.findall(r"^## (\S+) (?:- (\d{4}-\d\d-\d\d)|\(unreleased\))$", read("CHANGELOG.md"), re.M)
numbers = [tuple(map(int, v.split("."))) for v, _ in headings]
ok(len(headings) == len(re.findall(r"^## ", read("CHANGELOG.md"), re.M)),
   "CHANGELOG.md has a heading for each version, with its date or (unreleased)", headings)
ok(numbers == sorted(set(numbers), reverse=True), "... the newest first", headings)
ok(all(date for _, date in headings[1:]), "... and only the newest can be unreleased", headings)
released = [v for v, date in headings if date]

meta = json.loads(read("META.json"))
debian = re.match(r"claiim \((\S+)-\d+\) (\S+); ", read("debian", "changelog"))
says = {
    "CHANGELOG.md": headings[0][0] if headings else None,
    "META.json": meta.get("version"),
    "META.json, what it provides": meta.get("provides", {}).get("claiim", {}).get("version"),
    "debian/changelog": debian and debian.group(1),
    "src/claiim.h, CLAIIM_VERSION": found(r'^#define CLAIIM_VERSION\s+"(.*)"$', read("src", "claiim.h")),
}
if os.path.exists(os.path.join(ROOT, "sdk", "python", "pyproject.toml")):
    project = read("sdk", "python", "pyproject.toml")
    if re.search(r"^dynamic\b.*version", project, re.M):
        init = next((os.path.join(d, f) for d, _, files in os.walk(os.path.join(ROOT, "sdk", "python"))
                     for f in sorted(files) if f == "__init__.py"
                     and found(r'^__version__ = "(.*)"$', read(d, f))), None)
        says["sdk/python"] = init and found(r'^__version__ = "(.*)"$', read(init))
    else:
        says["sdk/python"] = found(r'^version = "(.*)"$', project)
for where, what in says.items():
    ok(what == version, "%s says the version of claiim.control" % where, what, version)
ok(debian and (debian.group(2) == "UNRELEASED") == (version not in released),
   "debian/changelog says UNRELEASED as long as CHANGELOG.md does", debian and debian.group(2))

# example.org is nobody's (RFC 2606): it does until somebody publishes the package.
maintainer = {name: re.findall(r"[^<>\s]+@[^<>\s]+", read("debian", name))
              for name in ("control", "control.in", "changelog", "copyright")}
ok(all(maintainer.values()) and len({address for found in maintainer.values() for address in found[:1]}) == 1,
   "debian/ names one maintainer everywhere, with an address", maintainer)
ok(version not in released or not any(address.endswith("@example.org") for found in maintainer.values() for address in found),
   "... who can be reached, once the version is released", maintainer)

# ---------------------------------------------------------------- updates

steps = [re.fullmatch(r"claiim--(.+?)--(.+)\.sql", f).groups()
         for f in os.listdir(os.path.join(ROOT, "sql")) if re.fullmatch(r"claiim--.+--.+\.sql", f)]
reached = {version}
while True:
    more = {a for a, b in steps if b in reached} - reached
    if not more:
        break
    reached |= more
for old in released:
    for file in ("claiim--%s.sql", "claiim--%s.data.sql"):
        path = os.path.join("sql", "releases", file % old)
        ok(os.path.exists(os.path.join(ROOT, path)), "what %s was is kept: %s" % (old, path))
    ok(old in reached, "ALTER EXTENSION claiim UPDATE leads from %s to %s" % (old, version), steps)
if version in released:
    parts = sorted(f for f in os.listdir(os.path.join(ROOT, "sql")) if re.fullmatch(r"\d\d_.*\.sql", f))
    script = '\\echo Use "CREATE EXTENSION claiim" to load this file. \\quit\n' + "".join("\n" + read("sql", f) for f in parts)
    path = os.path.join("sql", "releases", "claiim--%s.sql" % version)
    ok(os.path.exists(os.path.join(ROOT, path)) and read(path) == script,
       "%s has not changed since it was released: a change needs another version" % version)
ok(all(a in released for a, _ in steps), "every update begins at a version that was released", steps)

# ---------------------------------------------------------------- META.json

for key in ("name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"):
    ok(meta.get(key), "META.json has %s, which is required" % key)
ok(re.fullmatch(r"[^\s/\\:\x00-\x1f]{2,}", meta["name"]), "... a name that is a term of the specification", meta["name"])
ok(meta["meta-spec"].get("version") == "1.0.0", "... the version of its own specification", meta["meta-spec"])
licenses = meta["license"] if isinstance(meta["license"], list) else [meta["license"]]
ok(all(name in LICENSES for name in licenses), "... licenses that PGXN knows", licenses)
ok(meta.get("release_status", "stable") in ("stable", "testing", "unstable"), "... a status", meta.get("release_status"))
for name, extension in meta["provides"].items():
    ok(SEMVER.fullmatch(extension.get("version", "")), "... a semantic version of %s" % name)
    for key in ("file", "docfile"):
        ok(os.path.isfile(os.path.join(ROOT, extension.get(key, ""))), "... the %s of %s, which is there" % (key, name),
           extension.get(key))
for phase, relations in meta.get("prereqs", {}).items():
    ok(phase in ("configure", "build", "test", "runtime", "develop") and
       all(relation in ("requires", "recommends", "suggests", "conflicts") for relation in relations),
       "... prerequisites for %s that PGXN knows" % phase, relations)
    for needed in relations.values():
        ok(all(v == 0 or SEMVER.fullmatch(str(v)) for v in needed.values()), "... in semantic versions", needed)
ok(isinstance(meta.get("tags", []), list) and all(re.fullmatch(r"[^/\\]{1,255}", tag) for tag in meta.get("tags", [])),
   "... and tags", meta.get("tags"))

# ---------------------------------------------------------------- servers

source = os.path.join(ROOT, "src")
knowing = [f for f in sorted(os.listdir(source)) if f.endswith((".c", ".h"))
           and re.search(r"^\s*#.*\bPG_VERSION_NUM\b", read("src", f), re.M)]
ok(knowing == ["compat.h"], "src/compat.h alone tests PG_VERSION_NUM", knowing)
compat = read("src", "compat.h")
for test in re.finditer(r"^#if.*PG_VERSION_NUM.*\n(?!#error)", compat, re.M):
    comment = re.search(r"/\*((?:[^*]|\*(?!/))*)\*/\n\Z", compat[:test.start()])
    ok(comment and re.search(r"\([0-9a-f]{8,}\)", comment.group(1)),
       "... and names the commit that is the cause of %s" % test.group().strip(), comment and comment.group(1))

print("1..%d" % count)
sys.exit(failures > 0)
