"""Tries what a Run needs of the kernel, for ``doctor``: by doing it, since no flag tells the whole truth."""

from __future__ import annotations

import os
import socket
import subprocess
import threading

from qemunet.host.launch import init_argv, init_environment
from qemunet.host.linux import TUN_DEVICE
from qemunet.host.messages import ANCILLARY_BYTES, MAX_BYTES, Failure, close_all, decode, descriptors_of, failure_of

PROBE_DEADLINE_S = 20.0


def probe_init() -> tuple[str, ...] | Failure:
    """Start a Run's init and end it again: the names of the namespaces it made, or why it could not."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stderr = os.memfd_create("qemunet-probe-stderr")
    controller = os.pidfd_open(os.getpid())
    with ours, theirs, open(stderr, "rb") as errors:
        try:
            process = subprocess.Popen(
                init_argv("doctor"),
                stdin=theirs.fileno(),
                stdout=controller,
                stderr=stderr,
                env=init_environment(),
                start_new_session=True,
            )
        except OSError as error:
            return failure_of(error, "start")
        finally:
            os.close(controller)
            theirs.close()
        try:
            ours.settimeout(PROBE_DEADLINE_S)
            packet, ancillary, _, _ = ours.recvmsg(MAX_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
            close_all(descriptors_of(ancillary))
        except TimeoutError as error:
            return failure_of(error, "start", f"no answer within {PROBE_DEADLINE_S:g} s")
        finally:
            ours.close()
            try:
                process.wait(PROBE_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        if packet:
            message = decode(packet)
            if message["event"] == "ready":
                return tuple(message["namespaces"])
            failure: Failure = message["failure"]
            return failure
        errors.seek(0)
        last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"stage": "start", "what": "", "errno": 0, "error": last or "it ended without a word"}


def probe_tun() -> Failure | None:
    """Open /dev/net/tun: None if that works, else why not."""
    try:
        os.close(os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return failure_of(error, "open")
    return None


def probe_realtime() -> Failure | None:
    """Give a thread SCHED_FIFO for a moment: None if that is allowed, else why not."""
    result: list[Failure] = []

    def attempt() -> None:
        # A policy belongs to a thread: this one's ends with it.
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError as error:
            result.append(failure_of(error, "sched_setscheduler"))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return result[0] if result else None
