"""How late a job starts that is due each second: with a store that hosts share, and with the embedded one.

    cargo build --release --features full
    python3 benches/fleet/late.py STORE-URL target/release/schedrs

Two schedulers run at the same time, each with one such job; the due times of the one fall between those of
the other. The job is the smallest there is here (`true`), and what is measured is from the due time to the
moment at which its process exists, as `schedrs history` has it. `SECONDS` can be set. The difference is the
round trips of the claim: the first lines of `cargo bench --bench fleet` say what a commit costs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime

from hosts import start, stop

SECONDS = int(os.environ.get("SECONDS", "60"))


def jobfile(directory, host, url, offset):
    with open(f"{directory}/{host}.toml", "w") as file:
        file.write(f"""[store]
url = "{url}"
keep = {{ runs = 100000 }}
[jobs.job]
command = ["true"]
interval = "1s"
start_date = "2026-01-01T00:00:00{offset}Z"
""")


def lateness(program, directory, host):
    """In milliseconds, of each run but the first five, the smallest first."""
    command = [program, "history", "-f", f"{directory}/{host}.toml", "-n", "0", "--output", "json"]
    records = [json.loads(line) for line in subprocess.check_output(command).splitlines()]
    began = sorted((it for it in records if it.get("started")), key=lambda it: it["due"])
    at = datetime.fromisoformat
    late = [(at(it["started"]) - at(it["due"])).total_seconds() * 1000 for it in began]
    return sorted(late[5:])


def main():
    url, program = sys.argv[1:3]
    directory = tempfile.mkdtemp(prefix="schedrs-late-")
    stores = {"shared": (url, ""), "embedded": (f"sqlite:{directory}/embedded.db", ".5")}
    for host, (store, offset) in stores.items():
        jobfile(directory, host, store, offset)
    running = [start(program, directory, host) for host in stores]
    time.sleep(SECONDS)
    stop(running)
    for host in stores:
        late = lateness(program, directory, host)
        p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
        print(f"{host:8}  {len(late)} runs, late: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


main()
