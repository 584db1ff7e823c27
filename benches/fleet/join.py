"""How long a host that joins takes to take up its share, with 100,000 jobs over three hosts.

    cargo build --release --features full
    python3 benches/fleet/join.py STORE-URL target/release/schedrs

Two hosts run the jobs, which are due once a day, and some more that are due each second and write down
when they begin. The third starts: what it has taken up shows in the first of those that runs on it, for
all jobs of a host are taken up in one step. Then it is killed, and the others take over.
`JOBS`, `LEASE` and `ROUNDS` can be set. The store is filled.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime

from hosts import start, stop

JOBS = int(os.environ.get("JOBS", "100000"))
LEASE = os.environ.get("LEASE", "15s")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
# So many that each host has some.
MARKS = 60


def write(directory, host, url):
    text = f"""[store]
url = "{url}"
[fleet]
name = "{host}"
lease = "{LEASE}"
[defaults]
output = "discard"
env = {{ FILE = "{directory}/written" }}
"""
    for number in range(MARKS):
        text += f"""[jobs.mark{number}]
command = 'echo "$SCHEDRS_JOB $SCHEDRS_DUE $HOST $(date +%s.%N)" >> "$FILE"'
interval = "1s"
start_date = "2026-01-01T00:00:00Z"
"""
    for number in range(JOBS):
        text += f"""[jobs.j{number}]
command = "true"
interval = "1d"
start_date = "2026-01-01T{number % 24:02}:{number // 24 % 60:02}:00Z"
"""
    path = f"{directory}/{host}.toml"
    with open(path, "w") as file:
        file.write(text)


def lines(directory):
    with open(f"{directory}/written") as file:
        for line in file:
            words = line.split()
            if len(words) == 4:
                yield words[0], words[1], words[2], float(words[3])


def joined(program, url, host):
    """A host that is alive and has jobs, as the store has it."""
    asked = [program, "fleet", "--output", "json", "--store", url]
    text = subprocess.run(asked, capture_output=True, text=True).stdout
    hosts = [json.loads(line) for line in text.splitlines()]
    alive = [one for one in hosts if one["host"] == host and one["state"] == "alive" and one["jobs"]]
    return alive[-1] if alive else None


def wait_for(what, limit=600):
    begun = time.time()
    while True:
        found = what()
        if found:
            return found
        if time.time() - begun > limit:
            sys.exit("gave up")
        time.sleep(0.05)


def first_on(directory, host, since):
    """When the first of the jobs of a second began there."""
    times = [at for _, _, on, at in lines(directory) if on == host and at > since]
    return min(times, default=None)


def has_all(directory, hosts, since):
    """When each of the jobs of a second has begun on one of these hosts."""
    firsts = {}
    for job, _, on, at in lines(directory):
        if on in hosts and at > since:
            firsts.setdefault(job, at)
    return max(firsts.values()) if len(firsts) == MARKS else None


def main():
    url, program = sys.argv[1:3]
    directory = tempfile.mkdtemp(prefix="schedrs-join-")
    open(f"{directory}/written", "w").close()
    for host in ["web1", "web2", "web3"]:
        write(directory, host, url)
    running = {host: start(program, directory, host) for host in ["web1", "web2"]}
    wait_for(lambda: has_all(directory, ["web1", "web2"], 0))
    time.sleep(20)
    for _ in range(ROUNDS):
        begun = time.time()
        running["web3"] = start(program, directory, "web3")
        took = wait_for(lambda: first_on(directory, "web3", begun))
        host = wait_for(lambda: joined(program, url, "web3"))
        since, share = datetime.fromisoformat(host["joined"]).timestamp(), host["jobs"]
        print(
            f"{share} of {JOBS + MARKS} jobs: read the file and joined {since - begun:.1f} s after its "
            f"start, runs what it has taken up {took - since:.1f} s after it has joined",
            flush=True,
        )
        time.sleep(15)
        killed = time.time()
        running.pop("web3").kill()
        over = wait_for(lambda: has_all(directory, ["web1", "web2"], killed + 1.5))
        print(f"    killed: the others run all of it {over - killed:.1f} s later", flush=True)
        time.sleep(15)
    stop(running.values())
    text = [(job, due) for job, due, _, _ in lines(directory)]
    print(f"    started twice: {len(text) - len(set(text))}; {directory}")


main()
