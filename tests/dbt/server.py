"""One warm dbt for many invocations of the end-to-end tests.

Python and dbt take three seconds to start, nearly all of it imports, JSON schemas and the same seven
hundred macros of dbt and its adapter. This process does that once, with the caches that dbt keeps for its
own tests, and forks for every invocation that a `client.py` asks for. The fork works in the
asker's folder, environment, output and process group, so a signal to that group reaches it too.

Usage: server.py NAME PROJECT. NAME is that of an abstract socket, PROJECT what is parsed to warm up.
It ends when nobody has asked for anything for a while.
"""

import array
import atexit
import gc
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading

IDLE_SECONDS = 60
PROFILE = """shop:
  target: warm
  outputs:
    warm: {type: materialize, host: 127.0.0.1, port: 1, user: u, password: '', database: materialize,
           schema: s, cluster: c, threads: 1}
"""


def warm_up(project):
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner
    from dbt.deprecations import reset_deprecations
    from dbt_common.events.event_manager_client import cleanup_event_logger
    from dbt_common.events.functions import reset_metadata_vars
    from dbt_common.tests import enable_test_caching

    enable_test_caching()
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "project")
        shutil.copytree(project, copy)
        with open(os.path.join(copy, "profiles.yml"), "w") as profiles:
            profiles.write(PROFILE)
        # The static parser begins threads, which do not survive a fork.
        arguments = ["--quiet", "--no-send-anonymous-usage-stats", "parse", "--no-partial-parse"]
        arguments += ["--no-static-parser", "--project-dir", copy, "--profiles-dir", copy]
        arguments += ["--target-path", folder + "/target", "--log-path", folder + "/logs"]
        result = dbtRunner().invoke(arguments)
        if not result.success:
            raise SystemExit(f"the warming parse failed: {result.exception}")
    # What the parse leaves that a process of its own would not have.
    reset_adapters()
    reset_deprecations()
    reset_metadata_vars()
    cleanup_event_logger()
    if len(os.listdir("/proc/self/task")) != 1:
        raise SystemExit("threads are left, so that a fork may hang")
    gc.collect()
    gc.freeze()


def receive(connection):
    """The request: its length, JSON, and with the first bytes the standard streams."""
    header, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            streams.frombytes(data[: len(data) - len(data) % streams.itemsize])
    try:
        left = struct.unpack("!I", header)[0]
        body = b""
        while len(body) < left:
            part = connection.recv(left - len(body))
            if not part:
                raise OSError("the asker has gone")
            body += part
        if len(streams) != 3:
            raise OSError("no streams")
        return json.loads(body), list(streams)
    except Exception:
        for stream in streams:
            os.close(stream)
        raise


def become(request, streams, connection):
    """In the fork: becomes the process that was asked for."""
    try:
        os.setpgid(0, request["group"])
    except OSError:
        connection.send(b"N")
        os._exit(0)
    connection.send(b"S")
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        if stream > 2:
            os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    os.umask(request["umask"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = request["arguments"]
    # As in a process that has just started.
    from dbt_common.invocation import reset_invocation_id

    reset_invocation_id()
    from dbt.cli.main import cli

    code = 0
    try:
        cli()
    except SystemExit as ended:
        code = ended.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def serve(listener):
    # The asker's connection by the pidfd of its fork, and the other way round.
    forks, askers = {}, {}
    while True:
        ready, _, _ = select.select([listener, *forks, *askers], [], [], None if forks else IDLE_SECONDS)
        if not ready and not forks:
            return
        for it in ready:
            if it is listener:
                connection, _ = listener.accept()
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if struct.unpack("iII", peer)[1] != os.getuid():
                    connection.close()
                    continue
                connection.settimeout(5)
                try:
                    request, streams = receive(connection)
                except (OSError, ValueError, struct.error):
                    connection.close()
                    continue
                pid = os.fork()
                if pid == 0:
                    listener.close()
                    for fork, (other, _) in forks.items():
                        os.close(fork)
                        other.close()
                    try:
                        become(request, streams, connection)
                    finally:
                        os._exit(70)
                for stream in streams:
                    os.close(stream)
                fork = os.pidfd_open(pid)
                forks[fork], askers[connection] = (connection, pid), fork
            elif it in forks:
                connection, pid = forks.pop(it)
                askers.pop(connection, None)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                try:
                    connection.sendall(struct.pack("!i", status))
                except OSError:
                    pass
                connection.close()
                os.close(it)
            elif it in askers:
                # It says nothing more, so this is its end: dbt ends with its process.
                fork = askers.pop(it)
                os.kill(forks[fork][1], signal.SIGKILL)


def main():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind("\0" + sys.argv[1])
    except OSError:
        return  # Another was quicker.
    listener.listen(64)
    warm_up(sys.argv[2])
    serve(listener)


if __name__ == "__main__":
    main()
