#!/bin/bash
#
# All of Chron into the checkpoint volume, for whoever is to check it elsewhere,
# and its last link, which is worth noting where nobody here can write:
#
#   docker compose exec claiim export-chron.sh
#
#   chron.jsonl	all records, one a line, for tools/verify_chron.py
#   links		a line SEQ:LINK for each export, for its --expect-tip
#
# Neither is signed.

set -euo pipefail

cd /var/lib/claiim/checkpoints
psql -X -A -t -q -U postgres -f /usr/share/claiim/export_chron.sql >chron.jsonl.new
link=$(tail -n 1 chron.jsonl.new | sed -n 's/.*"seq":\([0-9]*\),.*"link":"\([0-9a-f]\{64\}\)".*/\1:\2/p')
[ -n "$link" ] || { printf 'claiim: there is no record in Chron\n' >&2; exit 1; }
sync chron.jsonl.new
mv chron.jsonl.new chron.jsonl
printf '%s\n' "$link" | tee -a links
