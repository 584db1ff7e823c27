"""What the measurements of several hosts have in common: how one is started, and how all are ended."""

import os
import signal
import subprocess


def start(program, directory, host, ahead=0):
    """`ahead`: by how many seconds its clock is, which takes a program with debug assertions."""
    log = open(f"{directory}/{host}.log", "a")
    own = f"{directory}/{host}"
    os.makedirs(own, mode=0o700, exist_ok=True)
    # Not in the jobfile: a job that differs from host to host has its home where it was changed last.
    env = dict(os.environ, HOST=host, XDG_STATE_HOME=own, XDG_RUNTIME_DIR=own)
    if ahead:
        env["SCHEDRS_TEST_CLOCK"] = f"{own}.clock"
        with open(env["SCHEDRS_TEST_CLOCK"], "w") as clock:
            clock.write(str(int(ahead)))
    return subprocess.Popen([program, "run", f"{own}.toml"], stdout=log, stderr=log, env=env)


def stop(hosts):
    for host in hosts:
        host.send_signal(signal.SIGTERM)
    for host in hosts:
        host.wait()
