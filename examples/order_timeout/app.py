#!/usr/bin/env python3
"""A shop that cancels orders which are not paid in time.

    POST /orders            takes an order; it is cancelled in 30 minutes unless it is paid
    POST /orders/42/pay     pays it
    GET  /orders/42         says how it stands

The shop has no timer of its own, no background thread and no queue. It asks schedrs, over the
control socket, to run `app.py cancel 42` in 30 minutes, and takes that back when the order is paid.
schedrs keeps the job in its store: neither a restart of the shop nor one of schedrs loses it.

Only Python's standard library is used. The part that talks to schedrs is `ask`, ten lines.
"""

import json
import os
import socket
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOCKET = os.environ.get("SCHEDRS_SOCKET", "schedrs.sock")
DATABASE = os.environ.get("ORDERS_DB", "orders.db")
TIMEOUT = os.environ.get("ORDER_TIMEOUT", "30m")


class Refused(Exception):
    """schedrs said no, or cannot be reached."""


def ask(**request):
    """One request to schedrs, and its reply: one JSON object per line each way."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(SOCKET)
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
    except (OSError, ValueError) as error:
        raise Refused(f"schedrs cannot be reached at {SOCKET}: {error}") from error
    if not answer["ok"]:
        raise Refused(answer["error"]["message"])
    return answer


def orders():
    database = sqlite3.connect(DATABASE, timeout=10)
    database.execute(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT, state TEXT)"
    )
    return database


def take(item):
    """A new order, and the promise that it does not stay open forever."""
    with orders() as database:
        # Uncommitted until schedrs has the job: no order without its timer, and if the commit
        # fails after that, cancelling an order that is not there does nothing.
        number = database.execute(
            "INSERT INTO orders (item, state) VALUES (?, 'open')", (item,)
        ).lastrowid
        ask(
            do="add",
            job=f"cancel-{number}",
            command=[sys.executable, os.path.abspath(__file__), "cancel", str(number)],
            **{"in": TIMEOUT},
            # If no scheduler is running at that time, late is better than never.
            misfire_grace_time="forever",
            env={"ORDERS_DB": os.path.abspath(DATABASE)},
            replace=True,
        )
    return {"order": number, "state": "open"}


def pay(number):
    """Pays an order, if it is still open: whoever changes the state first wins."""
    with orders() as database:
        changed = database.execute(
            "UPDATE orders SET state = 'paid' WHERE id = ? AND state = 'open'", (number,)
        ).rowcount
    if changed:
        try:
            ask(do="remove", job=f"cancel-{number}")
        except Refused as error:
            # Then it will run, find the order paid and leave it so.
            print(error, file=sys.stderr)
    return show(number)


def cancel(number):
    """What schedrs runs: cancels an order that is still open."""
    with orders() as database:
        changed = database.execute(
            "UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'open'", (number,)
        ).rowcount
    print(f"order {number}: {'cancelled' if changed else 'nothing to do'}")


def show(number):
    row = orders().execute("SELECT state FROM orders WHERE id = ?", (number,)).fetchone()
    return {"order": number, "state": row[0]} if row else None


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(lambda number, _: show(number))

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace")
        if self.path == "/orders":
            self.reply(lambda: take(body))
        else:
            self.answer(lambda number, verb: pay(number) if verb == "pay" else None)

    def answer(self, what):
        parts = self.path.strip("/").split("/")
        if parts[0] != "orders" or len(parts) not in (2, 3) or not parts[1].isdigit():
            return self.reply(lambda: None)
        self.reply(lambda: what(int(parts[1]), parts[2] if len(parts) == 3 else None))

    def reply(self, what):
        try:
            result = what()
            status = 200 if result else 404
        except Refused as error:
            status, result = 503, {"error": str(error)}
        text = json.dumps(result).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if sys.argv[1:2] == ["cancel"]:
        cancel(int(sys.argv[2]))
    else:
        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Shop)
        print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
