"""The program that forks a worker's children: loads once what they share, and knows no secret.

Its standard input is a socket. A message names a module and its arguments and brings two pipes, which become the
child's standard input and output; the child answers with its process id and a descriptor of itself (pidfd_open(2)).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence

from setproctitle import setproctitle

PR_SET_PDEATHSIG = 1
MAX_MESSAGE_BYTES = 128 * 1024


def main() -> None:
    """Fork whatever is asked for, until the other end of the socket is closed. Arguments: the modules to load."""
    setproctitle("pandok fork_server")  # its arguments name the children's modules
    for module in sys.argv[1:]:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for a child; whoever has its descriptor can
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=0)
    while True:
        message, pipes, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, 2)
        if not message:
            return
        try:
            is_child = os.fork() == 0
        except OSError as error:
            control.send(json.dumps({"failed": os.strerror(error.errno or 0)}).encode())
        else:
            if is_child:
                _be_child(json.loads(message), control, pipes)
        for pipe in pipes:
            os.close(pipe)


def _be_child(asked: dict[str, list[str]], control: socket.socket, pipes: Sequence[int]) -> None:
    """Run the module that is asked for, in the forked process, which ends here."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        module, *arguments = asked["run"]
        setproctitle(f"pandok {module.rpartition('.')[2]}")
        own = os.pidfd_open(os.getpid())
        socket.send_fds(control, [json.dumps({"pid": os.getpid()}).encode()], [own])
        os.close(own)
        control.detach()  # the pipe takes its place
        for pipe, place in zip(pipes, (0, 1), strict=True):
            os.dup2(pipe, place)
            os.close(pipe)
        sys.argv = [module, *arguments]
        importlib.import_module(module).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
