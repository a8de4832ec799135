#!/usr/bin/env bash
# Builds the Dockerfile and tries the image, without a container engine: Debian's buildah, isolated by chroot alone.
#
#   tests/container.sh            as root on Debian; about five minutes, 3 GB in TMPDIR while it runs
#
# Where the base image cannot be pulled, Debian's own Python takes its place: then the base has not its real size.
# At the end the image runs once as docker-compose.yml confines it, where runc can do that.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE=docker.io/library/python:3.11-slim-bookworm
PORT=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
URL=http://127.0.0.1:$PORT

say() { printf '%s\n' "$*"; }
skip() { say "skipped: $*"; exit 0; }
fail() { say "FAILED: $*"; exit 1; }

[ "$(id -u)" = 0 ] || skip "needs root, for chroot and for files of another owner"
missing=()
for tool in buildah debootstrap crun runc netavark jq; do
  command -v "$tool" > /dev/null || [ -x "/usr/lib/podman/$tool" ] || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get > /dev/null || skip "needs ${missing[*]}, and there is no apt-get to bring them"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null 2>&1 \
    || skip "apt-get cannot bring ${missing[*]}"
fi
[ -x .venv/bin/kembar-train ] || skip "needs .venv to draw postings: make run or make setup makes it"

work=$(mktemp -d "${TMPDIR:-/tmp}/kembar-container.XXXXXX")
name=$(basename "$work")
storage=(--storage-driver vfs --root "$work/storage" --runroot "$work/run")
b() { buildah "${storage[@]}" "$@"; }
clean() {
  [ ! -s "$work/data/lock" ] || kill -KILL "$(cat "$work/data/lock")" 2> /dev/null || true
  wait
  runc delete --force "$name" > /dev/null 2>&1 || true
  b umount --all > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT
mkdir -p "$work/data"

# --- build -------------------------------------------------------------------------------------------------------

if timeout 60 buildah "${storage[@]}" pull -q "$BASE" > /dev/null 2>&1; then
  say "base: $BASE, pulled"
else
  say "base: $BASE cannot be pulled; Debian's Python takes its place"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
    bookworm "$work/base" > "$work/base.log" 2>&1 || skip "debootstrap: $(tail -1 "$work/base.log")"
  ln -s python3 "$work/base/usr/bin/python"
  rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
  base=$(b from scratch)
  b copy -q "$base" "$work/base" / > /dev/null
  b commit -q "$base" "$BASE" > /dev/null
  b rm "$base" > /dev/null
  rm -rf "$work/base"
fi

# This machine's certificates and pip settings are lent to the build and stay out of the image.
lent=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
settings=${PIP_CONFIG_FILE:-$HOME/.config/pip/pip.conf}
if [ -f "$settings" ]; then
  lent+=(--volume "$settings:/etc/pip.conf:ro")
  while read -r folder; do
    folder=${folder%/simple} # an index keeps its files beside it
    [ ! -d "$folder" ] || lent+=(--volume "$folder:$folder:ro")
  done < <(grep -oE '(file:/|= *)/[^ ]+' "$settings" | grep -oE '/[^/ ][^ ]*')
fi
started=$SECONDS
b bud --isolation chroot --pull-never --format docker "${lent[@]}" -t localhost/kembar . \
  > "$work/build.log" 2>&1 || { tail -30 "$work/build.log"; fail "the build"; }
say "built in $((SECONDS - started)) s"
container=$(b from --pull-never localhost/kembar)
root=$(b mount "$container")
config=$(b inspect --type image localhost/kembar | jq .Docker.config)
mapfile -t command < <(jq -r '.Entrypoint[], .Cmd[]' <<< "$config")
mapfile -t healthcheck < <(jq -r '.Healthcheck.Test[1:][]' <<< "$config")
base_mb=$(b inspect --type image "$BASE" > /dev/null && b images --format '{{.Size}}' "$BASE")
say "image: $(b images --format '{{.Size}}' localhost/kembar), of it the base $base_mb," \
  "dependencies $(du -sm "$root/opt/kembar" | cut -f1) MB, bundle $(du -sm "$root/bundle" | cut -f1) MB," \
  "code $(du -sm "$root/opt/app" | cut -f1) MB"

# --- run ---------------------------------------------------------------------------------------------------------

run=(--isolation chroot --volume "$work/data:/data" --volume "$work/shop:/shop:ro")
inside() { b run "${run[@]}" --env "KEMBAR_PORT=$PORT" "$container" -- "$@"; }
ask() { .venv/bin/python "$work/ask.py" "$URL" "$work/shop"; }
cat > "$work/ask.py" << 'END'
"""Prints how many postings are stored, what answers to the first posting's own picture and title, if / is a page."""
import csv
import sys
from pathlib import Path

import httpx

from kembar_client import Kembar

url, shop = sys.argv[1], Path(sys.argv[2])
with (shop / "postings.csv").open(encoding="utf-8") as file:
    posting = next(csv.DictReader(file))
with Kembar(url) as kembar:
    best = kembar.match(image=(shop / "images" / posting["image"]).read_bytes(), title=posting["title"]).matches[0]
    stored = sum(1 for _ in kembar.scan())
is_page = all("text/" in httpx.get(url + path).headers["content-type"] for path in ("/", "/page/page.js"))
print(stored, best.posting_id == posting["posting_id"], is_page, round(best.score, 3))
END
start() {
  inside "${command[@]}" > "$work/serve.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    ! inside "${healthcheck[@]}" 2> /dev/null || return 0
    kill -0 "$server" 2> /dev/null || break
    sleep 0.2
  done
  tail -5 "$work/serve.log"
  fail "the image does not become healthy"
}
stop() {
  local before=$SECONDS code=0
  kill -TERM "$(cat "$work/data/lock")"
  wait "$server" || code=$?
  [ "$code" = 0 ] || fail "SIGTERM: expected exit code 0, got $code"
  say "SIGTERM ended it after $((SECONDS - before)) s with 0"
  ! inside "${healthcheck[@]}" 2> /dev/null || fail "the health check does not see that the service is gone"
}

.venv/bin/kembar-train sample --out "$work/shop" --products 15 --seed 7 > /dev/null
expected=$(($(wc -l < "$work/shop/postings.csv") - 1))
chown 10001:10001 "$work/data"
chmod 755 "$work" "$work/shop"
touch "$work/marker"
start
say "runs as $(stat -c %u "$work/data/lock"), RSS $(awk '/VmRSS/ {print int($2 / 1024)}' \
  "/proc/$(cat "$work/data/lock")/status") MiB when empty"
[ "$(stat -c %u "$work/data/lock")" = 10001 ] || fail "expected the data to be of user 10001"
[ "$(stat -c %u "/proc/$(cat "$work/data/lock")")" = 10001 ] || fail "expected the service to run as user 10001"
inside kembar import /shop/postings.csv --images /shop/images --url "$URL" > "$work/import.log" 2>&1 \
  || { cat "$work/import.log"; fail "the import"; }
answer=$(ask)
say "stored, first answer is the posting itself, page is served, score: $answer"
[[ $answer == "$expected True True "* ]] || fail "expected $expected postings, itself first, and a page, got: $answer"
say "RSS $(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$(cat "$work/data/lock")/status") MiB with $expected postings"
stop
start
[ "$(ask)" = "$answer" ] || fail "expected the same answer after a restart, got: $(ask)"
say "the data survived a restart"
stop
written=$(find "$root" -xdev -newer "$work/marker" -type f -not -path "$root/etc/*" -not -path "$root/run/*")
[ -z "$written" ] || fail "expected no write outside /data, so that the root may be read-only; got: $written"
say "nothing was written outside /data"

# --- confined as docker-compose.yml says -------------------------------------------------------------------------

# A read-only root, /tmp in memory, no capability, no new privilege, 2 GiB, two processors; the service is process 1.
mkdir "$work/oci"
runc spec --bundle "$work/oci"
jq --arg root "$root" --arg data "$work/data" --arg port "KEMBAR_PORT=$PORT" --argjson image "$config" '
  .root = {path: $root, readonly: true}
  | .process += {terminal: false, args: ($image.Entrypoint + $image.Cmd), cwd: "/data", env: ($image.Env + [$port]),
                 user: {uid: 10001, gid: 10001}, noNewPrivileges: true, capabilities: {}}
  | .mounts += [{destination: "/data", type: "bind", source: $data, options: ["bind", "rw"]},
                {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"]}]
  | .linux.namespaces |= map(select(.type != "network"))
  | .linux.resources = {memory: {limit: 2147483648}, cpu: {quota: 200000, period: 100000}}
' "$work/oci/config.json" > "$work/oci/confined.json"
mv "$work/oci/confined.json" "$work/oci/config.json"
runc run --bundle "$work/oci" "$name" > "$work/serve.log" 2>&1 &
server=$!
for _ in $(seq 150); do
  if runc exec "$name" "${healthcheck[@]}" 2> /dev/null; then
    [ "$(ask)" = "$answer" ] || fail "expected the same answer when confined, got: $(ask)"
    code=0
    runc kill "$name" TERM
    wait "$server" || code=$?
    [ "$code" = 0 ] || fail "SIGTERM to process 1: expected exit code 0, got $code"
    say "the same answer with a read-only root, no capability, 2 GiB; SIGTERM to process 1 ended it with 0"
    exit 0
  fi
  kill -0 "$server" 2> /dev/null || break
  sleep 0.2
done
grep -q '"level"' "$work/serve.log" && { tail -5 "$work/serve.log"; fail "the confined image does not become healthy"; }
say "skipped: runc cannot confine it here: $(tail -1 "$work/serve.log")"
