"""Three schedulers on one store, with a thousand jobs that are due each second.

    cargo build --release --features full
    python3 benches/fleet/load.py STORE-URL target/release/schedrs

Each run writes its job, due time and host into one file. At the end it is counted how often each due
time of each job between the first and the last second has run, and how many records of it the store has:
each is to have one. `JOBS`, `SECONDS` and `LEASE` can be set; with `KILL=10` a host is killed every so
many seconds, and started again three seconds later. What the killed one had claimed and not yet begun is
lost, as `on_lost = "leave"` says: it may count as "not at all", and its record says so.

`CUT=20` cuts a host off the store for eight seconds, every so many seconds. `CRASH=30` runs the command in
`RESTART`, which is to kill the server and start it again. `CLOCKS=5` sets the clocks of the hosts five seconds
behind, right, and five seconds ahead: that takes a program of `cargo build`, without `--release`.
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
from proxy import Proxy

JOBS = int(os.environ.get("JOBS", "1000"))
SECONDS = int(os.environ.get("SECONDS", "60"))
LEASE = os.environ.get("LEASE", "5s")
KILL = float(os.environ.get("KILL", "0"))
CUT = float(os.environ.get("CUT", "0"))
CRASH = float(os.environ.get("CRASH", "0"))
CLOCKS = float(os.environ.get("CLOCKS", "0"))
# How long a host is cut off; and what is not counted at the start and at the end, where hosts come and go.
AWAY, MARGIN = 8, 5 + 2 * CLOCKS
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


class Faults:
    """What happens to the hosts and the server, each kind every so many seconds."""

    def __init__(self, program, directory, proxies):
        self.program, self.directory, self.proxies = program, directory, proxies
        self.running = {host: self.start(host) for host in HOSTS}
        self.next = {"kill": KILL, "cut": CUT, "crash": CRASH}
        self.every = dict(self.next)
        self.count = {kind: 0 for kind in self.next}
        self.later = []

    def start(self, host):
        ahead = CLOCKS * (HOSTS.index(host) - 1)
        return start(self.program, self.directory, host, ahead)

    def tick(self, elapsed):
        for at, what in list(self.later):
            if elapsed > at:
                self.later.remove((at, what))
                what()
        for kind, at in self.next.items():
            if at and 10 < elapsed < SECONDS - 15 and elapsed > at:
                self.next[kind] = elapsed + self.every[kind]
                self.count[kind] += 1
                getattr(self, kind)(elapsed)

    def kill(self, elapsed):
        host = random.choice(HOSTS)
        self.running[host].kill()
        self.running[host].wait()
        self.later.append((elapsed + 3, lambda: self.running.update({host: self.start(host)})))

    def cut(self, elapsed):
        proxy = random.choice(list(self.proxies.values()))
        proxy.cut()
        self.later.append((elapsed + AWAY, proxy.mend))

    def crash(self, _):
        subprocess.run(os.environ["RESTART"], shell=True, check=True, stdout=subprocess.DEVNULL)


def main():
    url, program = sys.argv[1:3]
    directory = tempfile.mkdtemp(prefix="schedrs-load-")
    open(f"{directory}/written", "w").close()
    proxies = {host: Proxy(url) for host in HOSTS} if CUT else {}
    for host in HOSTS:
        jobfile(directory, host, proxies[host].url if CUT else url)
    faults = Faults(program, directory, proxies)
    begun = time.time()
    while (elapsed := time.time() - begun) < SECONDS:
        faults.tick(elapsed)
        time.sleep(0.5)
    stop(faults.running.values())
    span = count(directory, {kind: count for kind, count in faults.count.items() if count})
    fates(program, directory, span)
    print(f"  {directory}")


def count(directory, faults):
    times, hosts = Counter(), Counter()
    for line in open(f"{directory}/written"):
        job, due, host = line.split()
        at = datetime.fromisoformat(due).timestamp()
        times[job, at] += 1
        hosts[host] += 1
    # From when all were there, to before they ended.
    first = min(at for _, at in times) + MARGIN
    last = max(at for _, at in times) - MARGIN
    span = range(int(first), int(last) + 1)
    found = Counter(times.get((f"j{job}", float(at)), 0) for job in range(JOBS) for at in span)
    twice = sum(1 for runs in times.values() if runs > 1)
    said = ", ".join(f"{kind} {count}" for kind, count in faults.items()) or "no faults"
    print(f"{JOBS} jobs, {len(span)} s, {said}: {dict(sorted(hosts.items()))}")
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
