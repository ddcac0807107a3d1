#!/usr/bin/env python3
"""A wire that takes its time: frames that come from one network interface leave by the other one later, and back.

usage: relay.py INTERFACE INTERFACE MILLISECONDS

For kernels without netem. Prints "ready" and runs until it is killed. Frames keep what virtual interfaces leave to the
hardware (checksums, the cutting of large ones): it travels in the header that PACKET_VNET_HDR puts before each.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import collections
import select
import socket
import sys
import time

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 3, 263, 15, 4
LARGEST = 80 * 1024


def attach(interface):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    end.bind((interface, 0))
    end.setblocking(False)
    return end


def take(end, due, queue):
    """All frames that have come in."""
    while True:
        try:
            frame, address = end.recvfrom(LARGEST)
        except BlockingIOError:
            return
        if address[2] != PACKET_OUTGOING:
            queue.append((due, frame))


def give(end, now, queue):
    """All frames whose time has come."""
    while queue and queue[0][0] <= now:
        try:
            end.send(queue[0][1])
        except BlockingIOError:
            return
        except OSError:    # a link that is down loses frames
            pass
        queue.popleft()


def main():
    first, second, delay_s = attach(sys.argv[1]), attach(sys.argv[2]), float(sys.argv[3]) * 1e-3
    onward, back = collections.deque(), collections.deque()
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in (onward, back) if queue), default=time.monotonic() + 1)
        select.select((first, second), (), (), max(0, due - time.monotonic()))    # to the microsecond, unlike poll
        now = time.monotonic()
        take(first, now + delay_s, onward)
        take(second, now + delay_s, back)
        give(second, now, onward)
        give(first, now, back)


if __name__ == "__main__":
    main()
