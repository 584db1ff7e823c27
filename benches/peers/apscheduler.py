"""Jobs of a plan with APScheduler 3: apscheduler.py PLAN CHILD STAMPS WORKERS (see main.rs)."""

import signal
import subprocess
import sys

# This file has the package's name.
sys.path.pop(0)

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

FIELDS = ["second", "minute", "hour", "day", "month", "day_of_week"]


def main():
    plan, child, stamps, workers = sys.argv[1:5]

    def run():
        subprocess.run([child, "stamp", stamps], stdout=subprocess.DEVNULL, check=True)

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(int(workers))},
        job_defaults={"misfire_grace_time": 60},
        timezone="UTC",
    )
    with open(plan) as file:
        for line in file:
            fields = dict(zip(FIELDS, line.split()))
            scheduler.add_job(run, CronTrigger(timezone="UTC", **fields))
    scheduler.start()
    print("ready", flush=True)
    signal.pause()


main()
