"""The same jobs on two schedulers that share one PostgreSQL: APScheduler 3, and schedrs.

    python3 -m venv v && v/bin/pip install apscheduler==3.11.3 sqlalchemy psycopg2-binary
    v/bin/python benches/fleet/peer.py postgres://user@host:port/database target/release/schedrs

Each job is due every second and writes down its name and the time, in one line of one file.
It prints how many due times of the same seconds have run once, more than once and not at all. The
tables that are made stay (`apscheduler_jobs`, and the schema `peer`).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

JOBS = int(os.environ.get("JOBS", "20"))
SECONDS = int(os.environ.get("SECONDS", "30"))


def job(name, path):
    line = f"{name} {time.time():.6f} {os.getpid()}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def apscheduler(url, path):
    """One scheduler: `run`, as a program of its own."""
    from datetime import datetime, timezone

    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(
        jobstores={"default": {"type": "sqlalchemy", "url": url}},
        executors={"default": ThreadPoolExecutor(20)},
        timezone=timezone.utc,
    )
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    scheduler.start(paused=True)
    for number in range(JOBS):
        # As the user guide has it for a store that outlives the program.
        scheduler.add_job(
            job, "interval", seconds=1, start_date=start, id=f"j{number}",
            args=[f"j{number}", path], replace_existing=True, max_instances=5,
        )
    scheduler.resume()
    signal.sigwait([signal.SIGTERM])
    scheduler.shutdown(wait=False)


def schedrs(url, program, host, directory, path):
    file = os.path.join(directory, f"{host}.toml")
    with open(file, "w") as out:
        out.write(f'[store]\nurl = "{url}?schema=peer"\n[fleet]\nname = "{host}"\nlease = "5s"\n')
        for number in range(JOBS):
            out.write(
                f"[jobs.j{number}]\ncommand = 'echo $SCHEDRS_JOB $(date +%s.%N) {host} >> {path}'\n"
                'interval = "1s"\nstart_date = "2026-01-01T00:00:00Z"\nmax_instances = 5\n'
            )
    return [program, "run", file]


def measure(what, commands, path):
    open(path, "w").close()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    hosts = []
    for command in commands:
        # The first makes its tables.
        hosts.append(subprocess.Popen(command, **quiet))
        time.sleep(5)
    begin = int(time.time()) + 1
    end = begin + SECONDS
    time.sleep(end + 3 - time.time())
    for host in hosts:
        if host.poll() is not None:
            sys.exit(f"{what}: one has ended by itself; once more")
        host.terminate()
    for host in hosts:
        host.wait(30)
    times = Counter()
    late = []
    for line in open(path):
        name, at = line.split()[:2]
        at = float(at)
        # What is late by less than a second is still told by its second.
        if begin <= int(at) < end:
            times[name, int(at)] += 1
            late.append(at % 1)
    due = JOBS * SECONDS
    once = sum(1 for count in times.values() if count == 1)
    more = sum(1 for count in times.values() if count > 1)
    late.sort()
    median = late[len(late) // 2] * 1000 if late else float("nan")
    print(
        f"{what}: {due} due times; once {once}, more than once {more}, not {due - once - more}; "
        f"begun {median:.1f} ms after the second (median)", flush=True,
    )


def main():
    if sys.argv[1] == "run":
        return apscheduler(*sys.argv[2:])
    url, program = sys.argv[1], os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "written")
        alchemy = url.replace("postgres://", "postgresql+psycopg2://")
        mine = [sys.executable, os.path.abspath(__file__), "run", alchemy]
        measure("APScheduler 3, two schedulers", [mine + [path], mine + [path]], path)
        os.environ["STATE_DIRECTORY"] = directory
        commands = [schedrs(url, program, host, directory, path) for host in ("web1", "web2")]
        measure("schedrs, two schedulers", commands, path)


if __name__ == "__main__":
    main()
