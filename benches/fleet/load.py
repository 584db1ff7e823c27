"""Three schedulers on one store, with a thousand jobs that are due each second.

    cargo build --release --features full
    python3 benches/fleet/load.py STORE-URL target/release/schedrs

Each run writes its job, due time and host into one file. At the end it is counted how often each due
time of each job between the first and the last second has run, and how many records of it the store has:
each is to have one. `JOBS`, `SECONDS` and `LEASE` can be set; with `KILL=10` a host is killed every so
many seconds, and started again three seconds later. What the killed one had claimed and not yet begun is
lost, as `on_lost = "leave"` says: it may count as "not at all", and its record says so.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime

from hosts import start, stop

JOBS = int(os.environ.get("JOBS", "1000"))
SECONDS = int(os.environ.get("SECONDS", "60"))
LEASE = os.environ.get("LEASE", "5s")
KILL = float(os.environ.get("KILL", "0"))
HOSTS = ["web1", "web2", "web3"]


def jobfile(directory, host, url):
    text = f"""[store]
url = "{url}"
keep = {{ runs = 10000000 }}
[fleet]
name = "{host}"
lease = "{LEASE}"
[defaults]
output = "discard"
misfire_grace_time = "30s"
env = {{ FILE = "{directory}/written" }}
[executors]
default = {{ max_workers = 64 }}
"""
    for number in range(JOBS):
        text += f"""[jobs.j{number}]
command = 'echo "$SCHEDRS_JOB $SCHEDRS_DUE $HOST" >> "$FILE"'
interval = "1s"
start_date = "2026-01-01T00:00:00Z"
"""
    path = f"{directory}/{host}.toml"
    with open(path, "w") as file:
        file.write(text)
    return path


def main():
    url, program = sys.argv[1:3]
    directory = tempfile.mkdtemp(prefix="schedrs-load-")
    open(f"{directory}/written", "w").close()
    for host in HOSTS:
        jobfile(directory, host, url)
    running = {host: start(program, directory, host) for host in HOSTS}
    begun, kills, dead = time.time(), 0, None
    while time.time() - begun < SECONDS:
        time.sleep(0.5)
        elapsed = time.time() - begun
        if dead and elapsed > dead[1] + 3:
            running[dead[0]] = start(program, directory, dead[0])
            dead = None
        due = KILL and 10 < elapsed < SECONDS - 15
        if due and not dead and elapsed > (kills + 1) * KILL:
            host = random.choice(HOSTS)
            running[host].kill()
            running[host].wait()
            dead, kills = (host, elapsed), kills + 1
    stop(running.values())
    span = count(directory, kills)
    fates(program, directory, span)
    print(f"  {directory}")


def count(directory, kills):
    times, hosts = Counter(), Counter()
    for line in open(f"{directory}/written"):
        job, due, host = line.split()
        at = datetime.fromisoformat(due).timestamp()
        times[job, at] += 1
        hosts[host] += 1
    # From when all were there, to before they ended.
    first = min(at for _, at in times) + 5
    last = max(at for _, at in times) - 5
    span = range(int(first), int(last) + 1)
    found = Counter(times.get((f"j{job}", float(at)), 0) for job in range(JOBS) for at in span)
    twice = sum(1 for runs in times.values() if runs > 1)
    print(f"{JOBS} jobs, {len(span)} s, {kills} kills: {dict(sorted(hosts.items()))}")
    print(f"  due times that ran once: {found[1]}, not at all: {found[0]}, twice (ever): {twice}")
    return span


def fates(program, directory, span):
    """What the store has of the same due times."""
    command = [program, "history", "-f", f"{directory}/{HOSTS[0]}.toml", "-n", "0", "--output", "json"]
    records, outcomes = Counter(), Counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as history:
        for line in history.stdout:
            record = json.loads(line)
            first = int(datetime.fromisoformat(record["due"]).timestamp())
            for second in range(record.get("count", 1)):
                if first + second in span:
                    records[record["job"], first + second] += 1
                    outcomes[record["outcome"]] += 1
    found = Counter(records.values())
    none = JOBS * len(span) - len(records)
    more = len(records) - found[1]
    print(f"  due times with one record: {found[1]}, with none: {none}, with more: {more}")
    print(f"  {dict(outcomes.most_common())}")


main()
