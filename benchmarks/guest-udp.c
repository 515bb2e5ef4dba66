/*
 * SPDX-License-Identifier: GPL-2.0-only
 *
 * UDP between two guests, many datagrams to a system call.
 *
 *     guest-udp send ADDRESS PORT BYTES SECONDS [RATE]    RATE in datagrams a second; 0: all that goes
 *     guest-udp sink PORT                                 until SIGINT or SIGTERM
 *
 * Each ends with a line: datagrams that were handed over or came, and seconds from the first to the last one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define MOST_BYTES 65507

static volatile sig_atomic_t stopped;
static char payload[MOST_BYTES];

static void
Stop(int number)
{
    (void)number;
    stopped = 1;
}

static double
Now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void
Die(const char* what)
{
    fprintf(stderr, "guest-udp: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int
OpenSocket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int room = 4 << 20;
    if (fd < 0)
    {
        Die("socket");
    }
    /* Only root may; where it is refused, the usual buffer has to do. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    return fd;
}

static void
Send(const char* address, int port, unsigned bytes, double seconds, double rate)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1 || bytes > MOST_BYTES)
    {
        fprintf(stderr, "guest-udp: no such address or too many bytes\n");
        exit(2);
    }
    int fd = OpenSocket();
    if (connect(fd, (struct sockaddr*)&peer, sizeof(peer)) != 0)
    {
        Die("connect");
    }
    struct iovec vector = {payload, bytes};
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof(messages));
    for (unsigned index = 0; index < BATCH; ++index)
    {
        messages[index].msg_hdr.msg_iov = &vector;
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    double begun = Now();
    double now = begun;
    unsigned long sent = 0;
    for (; now - begun < seconds && !stopped; now = Now())
    {
        unsigned wanted = BATCH;
        if (rate > 0)
        {
            double due = (now - begun) * rate - (double)sent;
            if (due < 1)
            {
                struct timespec wait = {0, (long)((1 - due) / rate * 1e9)};
                nanosleep(&wait, NULL);
                continue;
            }
            wanted = due < BATCH ? (unsigned)due : BATCH;
        }
        int count = sendmmsg(fd, messages, wanted, 0);
        if (count < 0 && errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
        {
            Die("sendmmsg");
        }
        sent += count > 0 ? count : 0;
    }
    printf("%lu %.6f\n", sent, now - begun);
}

static void
Sink(int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = OpenSocket();
    if (bind(fd, (struct sockaddr*)&own, sizeof(own)) != 0)
    {
        Die("bind");
    }
    struct iovec vector = {payload, sizeof(payload)};
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof(messages));
    for (unsigned index = 0; index < BATCH; ++index)
    {
        messages[index].msg_hdr.msg_iov = &vector;
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    double first = 0;
    double last = 0;
    unsigned long came = 0;
    while (!stopped)
    {
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0)
        {
            if (errno != EINTR)
            {
                Die("recvmmsg");
            }
            continue;
        }
        last = Now();
        first = came == 0 ? last : first;
        came += count;
    }
    printf("%lu %.6f\n", came, last - first);
}

int
main(int argc, char** argv)
{
    struct sigaction action = {.sa_handler = Stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (argc >= 6 && strcmp(argv[1], "send") == 0)
    {
        Send(argv[2], atoi(argv[3]), (unsigned)atoi(argv[4]), atof(argv[5]), argc > 6 ? atof(argv[6]) : 0);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "sink") == 0)
    {
        Sink(atoi(argv[2]));
        return 0;
    }
    fprintf(stderr, "guest-udp send ADDRESS PORT BYTES SECONDS [RATE] | guest-udp sink PORT\n");
    return 2;
}
