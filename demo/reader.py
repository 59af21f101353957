"""Reads production until it is told to stop, and says what it saw.

Each read is one statement that joins two marts from two schemas. An answer is old when both say the
old revenue, new when both say the new one, and mixed otherwise.
"""

import argparse
import json
import os
import signal
import time

import psycopg2

QUERY = """
SELECT r.cents, c.cents
FROM (SELECT sum(net_cents)::bigint AS cents FROM shop_finance.revenue_by_region) AS r,
     (SELECT sum(net_cents)::bigint AS cents FROM shop_crm.orders_by_customer) AS c
"""
PAUSE_SECONDS = 0.002


class Seen:
    def __init__(self) -> None:
        self.latencies: list = []
        self.failed: list = []
        self.mixed: list = []
        self.last_old = None
        self.first_new = None
        self.went_back = 0

    def answer(self, answer: tuple, old: int, new: int, at: float) -> None:
        if answer == (old, old):
            self.last_old = at
            self.went_back += self.first_new is not None
        elif answer == (new, new):
            self.first_new = self.first_new or at
        else:
            self.mixed.append(f"by region {answer[0]}, by customer {answer[1]}")

    def summary(self) -> dict:
        ordered = sorted(self.latencies) or [0.0]

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

        return {
            "reads": len(self.latencies) + len(self.failed),
            "failed": self.failed,
            "mixed": self.mixed,
            "went_back": self.went_back,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": ordered[-1] * 1000,
            "last_old": self.last_old,
            "first_new": self.first_new,
        }


def connect(url: str, role: str):
    connection = psycopg2.connect(url, user=role, connect_timeout=10)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET cluster = shop_serving")
    return connection


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("url", "role", "summary", "ready"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("old", "new"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()

    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))

    seen = Seen()
    parent = os.getppid()
    connection = connect(arguments.url, arguments.role)
    # Whoever started it may have been killed; nothing reads on after that.
    while not stopped and os.getppid() == parent:
        began = time.perf_counter()
        try:
            with connection.cursor() as cursor:
                cursor.execute(QUERY)
                answer = cursor.fetchone()
            seen.latencies.append(time.perf_counter() - began)
            seen.answer(answer, arguments.old, arguments.new, time.time())
        except psycopg2.Error as error:
            seen.failed.append(" ".join(str(error).split()))
            if connection.closed:
                connection = connect(arguments.url, arguments.role)
        if len(seen.latencies) == 1:
            with open(arguments.ready, "w", encoding="utf-8"):
                pass
        time.sleep(PAUSE_SECONDS)
    with open(arguments.summary, "w", encoding="utf-8") as file:
        json.dump(seen.summary(), file)


if __name__ == "__main__":
    main()
