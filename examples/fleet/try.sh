#!/bin/sh
# A fleet of three on this machine, with its own PostgreSQL in a temporary directory: it starts, the
# host that has the job `beat` is killed, another takes it over, and everything is removed again.
#
#   examples/fleet/try.sh            with the schedrs in $PATH, or $SCHEDRS
set -eu

schedrs=${SCHEDRS:-schedrs}
here=$(cd "$(dirname "$0")" && pwd)
patience=60

say() { printf '\n# %s\n' "$*"; }
give_up() { echo "$0: $*" >&2; exit 1; }

# Debian keeps the server's programs out of $PATH.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
PATH=$PATH:$bin
if ! command -v initdb >/dev/null || ! command -v postgres >/dev/null; then
    echo "skipped: no PostgreSQL on this machine (initdb, postgres)"
    exit 0
fi

dir=$(mktemp -d /tmp/fleet.XXXXXX)
chmod 755 "$dir"
server=
hosts=
clean_up() {
    for pid in $hosts $server; do kill -INT "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# PostgreSQL refuses to be root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"
    fi
    exec "$@"
}

until_it_does() {
    what=$1
    shift
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        for pid in $hosts; do
            kill -0 "$pid" 2>/dev/null || { cat "$dir"/web*.log; give_up "a host has ended"; }
        done
        [ "$tries" -lt "$((patience * 5))" ] || give_up "$what: not within ${patience}s"
        sleep 0.2
    done
}

say "A PostgreSQL in $dir"
mkdir "$dir/db"
if [ "$(id -u)" = 0 ]; then chown nobody "$dir/db"; fi
(cd / && as_server initdb -D "$dir/db/data" -U schedrs -A trust -E UTF8 --locale=C --no-sync) >"$dir/db.log" 2>&1 \
    || { cat "$dir/db.log"; give_up "initdb failed"; }
(cd / && as_server postgres -D "$dir/db/data" -k "$dir/db" -c listen_addresses= -c max_connections=20) \
    >>"$dir/db.log" 2>&1 &
server=$!
answers() { [ -S "$dir/db/.s.PGSQL.5432" ] && grep -q 'ready to accept' "$dir/db.log"; }
until_it_does "PostgreSQL answers" answers
url="postgres://schedrs@$(printf %s "$dir/db" | sed 's,/,%2F,g')/postgres"

say "Three hosts with the same jobs"
export BEATS="$dir/beats" STATE_DIRECTORY="$dir/state"
: >"$BEATS"
mkdir "$STATE_DIRECTORY"
cp "$here/jobs.toml" "$dir/jobs.toml"
for host in web1 web2 web3; do
    cat >"$dir/$host.toml" <<END
include = "jobs.toml"
[store]
url = "$url"
[fleet]
name = "$host"
labels = ["disk"]
lease = "3s"
END
    "$schedrs" run "$dir/$host.toml" >"$dir/$host.log" 2>&1 &
    hosts="$hosts $!"
    eval "$host=$!"
done

# The host of the last run of `beat`.
home() {
    "$schedrs" history beat --store "$url" -f "$dir/web1.toml" -n 1 --output json 2>/dev/null |
        sed -n 's/.*"host":"\([^"]*\)".*/\1/p'
}
alive() { "$schedrs" fleet -f "$dir/web1.toml" --output json 2>/dev/null | grep -c '"state":"alive"'; }
three() { [ "$(alive)" = 3 ] && [ -n "$(home)" ] && [ "$(wc -l <"$BEATS")" -ge 4 ]; }
until_it_does "three hosts are there, and the job runs" three
"$schedrs" fleet -f "$dir/web1.toml"

victim=$(home)
say "The job beat runs on $victim: kill -9"
eval "pid=\$$victim"
hosts=$(for other in $hosts; do [ "$other" = "$pid" ] || echo "$other"; done)
kill -9 "$pid"
elsewhere() { now=$(home); [ -n "$now" ] && [ "$now" != "$victim" ]; }
until_it_does "another host has it" elsewhere
heir=$(home)
say "$heir has taken it over"
gone() { "$schedrs" fleet -f "$dir/web1.toml" | grep -q "^$victim  *gone"; }
until_it_does "$victim is gone" gone
"$schedrs" fleet -f "$dir/web1.toml"
"$schedrs" history beat -f "$dir/web1.toml" -n 12

twice=$(sort "$BEATS" | uniq -d)
[ -z "$twice" ] || give_up "ran twice: $twice"
say "$(wc -l <"$BEATS" | tr -d ' ') due times have run, none of them twice"
