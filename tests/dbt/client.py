"""Stands in for the `dbt` executable: has `server.py` run the invocation, in this process's group.

Usage: client.py DBT ARGUMENTS... Where no server can be had, DBT itself is run.
"""

import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.join(os.path.dirname(HERE), "fixtures", "shop")


def name(dbt):
    """Of the server for this dbt, these scripts and this session: a group cannot span sessions."""
    scripts = [os.path.join(HERE, script) for script in ("server.py", "client.py")]
    changed = [os.stat(script).st_mtime_ns for script in scripts]
    spaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "pid", "user")]
    seen = (os.getuid(), os.getsid(0), spaces, HERE, changed, dbt, os.path.realpath(dbt))
    return f"cutover-test-dbt-{zlib.crc32(repr(seen).encode()):08x}"


def connect(dbt):
    address = "\0" + name(dbt)
    until = time.monotonic() + 10
    started = False
    while time.monotonic() < until:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            if error.errno not in (errno.ECONNREFUSED, errno.EAGAIN):
                return None
            if not started:
                start(dbt)
                started = True
            time.sleep(0.05)
            continue
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("iII", peer)[1] == os.getuid():
            return connection
        connection.close()
        return None
    return None


def start(dbt):
    python = os.path.join(os.path.dirname(dbt), "python3")
    # Nothing of the asker: not its group, streams and folder, and no mark by which Cutover would take
    # the server for a dbt that outlived its release.
    subprocess.Popen(
        [python, os.path.join(HERE, "server.py"), name(dbt), PROJECT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={
            "PATH": os.environ.get("PATH", ""),
            "LANG": "C.UTF-8",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_NO_VERSION_CHECK": "1",
        },
        process_group=0,
    )


def ask(dbt, arguments):
    """The exit code of the invocation, negative for a signal; `None` when it did not begin."""
    connection = connect(dbt)
    if connection is None:
        return None
    request = {
        "arguments": [dbt, *arguments],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "group": os.getpgid(0),
        "umask": umask(),
    }
    body = json.dumps(request).encode()
    try:
        socket.send_fds(connection, [struct.pack("!I", len(body))], [0, 1, 2])
        connection.sendall(body)
        if connection.recv(1) != b"S":
            return None
    except OSError:
        return None
    # The fork hears of it as well, and how it ends is told by it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = connection.recv(4, socket.MSG_WAITALL)
    if len(status) != 4:
        sys.exit("the warm dbt has gone")
    return struct.unpack("!i", status)[0]


def umask():
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def main():
    dbt, arguments = sys.argv[1], sys.argv[2:]
    code = ask(dbt, arguments)
    if code is None:
        if os.environ.get("CUTOVER_TEST_DBT_WARM") == "required":
            sys.exit("no warm dbt")
        os.execv(dbt, [dbt, *arguments])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
