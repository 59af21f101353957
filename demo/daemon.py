"""A daemon of a demo, in a folder of its own; its log is shown as it grows."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from scene import DemoFailed, stop

PATIENCE = 90


class Daemon:
    def __init__(self, stack: contextlib.ExitStack, name: str, folder: Path, project: Path, environment: dict):
        self.name, self.folder, self.project, self.environment = name, folder / name, project, environment
        self.folder.mkdir()
        self.file = self.folder / "cutover.yaml"
        self.stack = stack
        self.process = None

    def write(self, configuration: str) -> None:
        self.file.write_text(configuration, encoding="utf-8")

    def start(self) -> None:
        program = shutil.which("cutover", path=self.environment["PATH"])
        print(f"$ cutover serve --config {self.name}/cutover.yaml", flush=True)
        self.process = subprocess.Popen([program, "serve", "--config", str(self.file)], cwd=self.project,
                                        env=self.environment | {"NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        start_new_session=True)
        self.stack.callback(stop, self.process)
        threading.Thread(target=self.show, daemon=True).start()

    def show(self) -> None:
        for line in self.process.stderr:
            if "answered method" in line:
                continue
            line = re.sub(r"^\S+T(\d\d:\d\d:\d\d)\S* +(\w+) .*?cutover::\S+ ", r"\1 \2 ", line.rstrip())
            print(f"    {self.name}: {line[:180]}", flush=True)

    def ask(self, path: str) -> str:
        connection = http.client.HTTPConnection("daemon")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.folder / ".cutover" / "daemon.sock"))
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def status(self) -> dict:
        return json.loads(self.ask("/v1/environments/production"))

    def until(self, what: str, wanted) -> dict:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise DemoFailed(f"the daemon {self.name} ended while it was waited for {what}")
            with contextlib.suppress(OSError, ValueError):
                status = self.status()
                if wanted(status):
                    return status
            time.sleep(0.05)
        raise DemoFailed(f"waited in vain for {what}")

    def signal(self, number: signal.Signals) -> None:
        print(f"$ kill -{number.name[3:]} (daemon {self.name})", flush=True)
        self.process.send_signal(number)

    def metrics(self) -> None:
        wanted = ("cutover_runs_total", "cutover_deployments_total", "cutover_rollbacks_total", "cutover_leader",
                  "cutover_config_reloads_total", "cutover_soak_looks_total", "cutover_lag_milliseconds",
                  "process_resident_memory_bytes", "process_open_fds", "cutover_deployment_state")
        # Counters begin at zero: those that have not moved say nothing here.
        for line in self.ask("/metrics").splitlines():
            if line.startswith(wanted) and not line.endswith(" 0"):
                print(f"    {line}")
        sys.stdout.flush()


def released(before):
    """Whether a status says that a release is done which is another than the one before."""
    return lambda status: (status["activity"] == "idle" and status["deployment"] is not None
                           and status["deployment"]["state"] == "done" and status["deployment"]["id"] != before)
