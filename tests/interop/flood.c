/* flood - a SYN flood over TUN and what it meets (tests/interop/flood.sh).
 *
 *     flood serve TUN CIDR PORT BACKLOG    an echo server on tern; SIGUSR1: accept no more, SIGUSR2: again.
 *                                          At SIGTERM one JSON line: memory and counters
 *     flood attack HOST PORT RATE SECONDS [SOURCE]
 *                                          RATE SYNs a second from addresses in 198.18.0.0/15 (or from SOURCE
 *                                          alone, of random ports), through a raw socket of the kernel
 *     flood connect HOST PORT COUNT GAP_US SECONDS
 *                                          COUNT connections by the kernel's TCP, one every GAP_US; each
 *                                          sends 4 bytes and wants them back. One JSON line: how many got
 *                                          them, how many were refused, how many SYNs had to be sent again
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tern/host.h>

static volatile sig_atomic_t paused, over;

static void on_signal(int n)
{
    if (n == SIGTERM)
        over = 1;
    else
        paused = n == SIGUSR1;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- the server ----------------------------------------------------------------------------------- */

static void echo(tern *t, tern_handle h)
{
    char buf[64];
    long n;
    while ((n = tern_recv(t, h, buf, sizeof buf)) > 0)
        tern_send(t, h, buf, (size_t)n, 0);
    if (n != -TERN_EAGAIN)
        tern_close(t, h);
}

static uint64_t arena_in_use(tern *t)
{
    tern_live v;
    tern_get_live(t, &v);
    return v.arena_used;
}

static void report(tern *t, uint64_t before)
{
    tern_stats s;
    tern_live v;
    tern_get_stats(t, &s);
    tern_get_live(t, &v);
    printf("{\"arena_before\":%" PRIu64 ",\"arena_most\":%" PRIu64
           ",\"halfopen\":%u,\"cookies_sent\":%" PRIu64 ",\"cookies_valid\":%" PRIu64 ",\"accepted\":%" PRIu64
           ",\"resets_out\":%" PRIu64 ",\"source_limited\":%" PRIu64 ",\"rx\":%" PRIu64
           ",\"replies_full\":%" PRIu64 "}\n",
           before, v.arena_used, v.halfopen, s.cookies_sent, s.cookies_valid, s.accepted, s.resets_out,
           s.syn_source_limited, s.rx_packets, s.dropped[TERN_C_REPLIES_FULL]);
}

static int serve(char **arg)
{
    tern_host *host;
    tern_link *tun;
    tern_handle listener, conn;
    tern_event events[64];
    char err[300];
    tern_endpoint local = {.port = (uint16_t)atoi(arg[2])};
    int prefix;
    if (tern_cidr_parse(arg[1], &local.ip, &prefix) < 0)
        return 2;
    if (tern_host_create(&host, &(tern_host_config){.name = "flood"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, arg[0], false, err, sizeof err) < 0)
        return fprintf(stderr, "flood: %s\n", err), 2;
    tern *t = tern_host_stack(host);
    int link = tern_host_attach(host, tun);
    tern_ip any = tern_ip4(0, 0, 0, 0);
    if (tern_addr_add(t, link, &local.ip, prefix) < 0 || tern_route_add(t, link, &any, 0) < 0 ||
        tern_listen(t, &local, (uint32_t)atoi(arg[3]), &listener) < 0)
        return fprintf(stderr, "flood: cannot listen there\n"), 2;
    uint64_t before = arena_in_use(t);
    bool waiting = false;
    while (!over && tern_host_turn(host) >= 0) {
        int n = tern_events(t, events, 64);
        for (int i = 0; i < n; i++) {
            if (events[i].handle.v == listener.v)
                waiting = true;
            else
                echo(t, events[i].handle);
        }
        for (int i = 0; waiting && !paused; i++) {
            waiting = tern_accept(t, listener, &conn) == 0;
            if (waiting)
                echo(t, conn);
        }
        if (n == 0)
            tern_host_wait(host, 50);
    }
    report(t, before);
    tern_host_destroy(host);
    return 0;
}

/* --- the attacker --------------------------------------------------------------------------------- */

static uint16_t sum(const uint8_t *p, size_t n, uint32_t start)
{
    uint32_t s = start;
    for (size_t i = 0; i < n; i += 2)
        s += (uint32_t)p[i] << 8 | p[i + 1];
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

static void put(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* An IPv4 SYN with MSS 1460. */
static void spoof(uint8_t p[44], uint32_t src, uint32_t dst, uint16_t port, uint32_t dice)
{
    static const uint8_t shape[44] = {0x45, 0,           0, 44,   0,    0,        0x40, 0, 64,
                                      6,    [32] = 0x60, 2, 0xff, 0xff, [40] = 2, 4,    5, 0xb4};
    memcpy(p, shape, 44);
    put(p + 12, src);
    put(p + 16, dst);
    put(p + 20, (uint32_t)(1024 + dice % 60000) << 16 | port);
    put(p + 24, dice * 2654435761u);
    uint16_t c = sum(p + 20, 24, (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) + 6 + 24);
    p[36] = (uint8_t)(c >> 8), p[37] = (uint8_t)c;
}

static int attack(char **arg)
{
    enum { BATCH = 64 };
    static uint8_t packets[BATCH][44];
    struct mmsghdr msgs[BATCH] = {0};
    struct iovec iov[BATCH];
    struct sockaddr_in to = {.sin_family = AF_INET};
    inet_pton(AF_INET, arg[0], &to.sin_addr);
    uint32_t dst = ntohl(to.sin_addr.s_addr), rate = (uint32_t)atoi(arg[2]), dice = 12345;
    uint32_t one = arg[4] != NULL ? ntohl(inet_addr(arg[4])) : 0;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), room = 4 << 20;
    if (fd < 0)
        return perror("flood: raw socket"), 2;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){packets[i], 44};
        msgs[i].msg_hdr =
            (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov[i], .msg_iovlen = 1};
    }
    uint64_t start = now_us(), end = start + 1000000ull * (uint64_t)atoi(arg[3]), sent = 0;
    for (uint64_t now; (now = now_us()) < end;) {
        uint64_t due = (now - start) * rate / 1000000;
        if (due < sent + BATCH) {
            usleep(200);
            continue;
        }
        for (int i = 0; i < BATCH; i++) {
            dice = dice * 1664525u + 1013904223u;
            uint32_t src = one != 0 ? one : 0xc6120000u + (dice >> 15);
            spoof(packets[i], src, dst, (uint16_t)atoi(arg[1]), dice >> 3 ^ dice >> 17);
        }
        int n = sendmmsg(fd, msgs, BATCH, 0);
        sent += n > 0 ? (uint64_t)n : 0;
    }
    printf("{\"syns\":%" PRIu64 ",\"per_second\":%.0f}\n", sent,
           (double)sent * 1e6 / (double)(now_us() - start));
    return 0;
}

/* --- honest clients --------------------------------------------------------------------------------- */

/* A counter of TcpExt in /proc/self/net/netstat. */
static long counter(const char *name)
{
    static char names[8192], values[8192];
    FILE *f = fopen("/proc/self/net/netstat", "r");
    long result = -1;
    if (f == NULL || fgets(names, sizeof names, f) == NULL || fgets(values, sizeof values, f) == NULL)
        return -1;
    fclose(f);
    char *n, *v, *sn, *sv;
    for (n = strtok_r(names, " \n", &sn), v = strtok_r(values, " \n", &sv); n != NULL && v != NULL;
         n = strtok_r(NULL, " \n", &sn), v = strtok_r(NULL, " \n", &sv))
        if (strcmp(n, name) == 0)
            result = atol(v);
    return result;
}

struct tally {
    int served, refused;
    uint64_t slowest;
};

/* One step of a client; false: it is done. */
static bool step(struct pollfd *p, uint64_t began, struct tally *sum_of)
{
    char buf[8];
    int e = 0;
    socklen_t len = sizeof e;
    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &e, &len);
    if (e != 0) {
        sum_of->refused++;
        return false;
    }
    if (p->events == POLLOUT) {
        p->events = POLLIN;
        return send(p->fd, "ping", 4, MSG_NOSIGNAL) == 4;
    }
    if (recv(p->fd, buf, sizeof buf, 0) == 4) {
        sum_of->served++;
        uint64_t took = now_us() - began;
        sum_of->slowest = took > sum_of->slowest ? took : sum_of->slowest;
    } else {
        sum_of->refused++;
    }
    return false;
}

static int begin(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int connects(char **arg)
{
    int count = atoi(arg[2]), open = 0, made = 0;
    uint64_t gap = (uint64_t)atol(arg[3]), start = now_us(),
             end = start + 1000000ull * (uint64_t)atol(arg[4]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arg[1]))};
    struct pollfd *p = calloc((size_t)count, sizeof *p);
    uint64_t *began = calloc((size_t)count, sizeof *began);
    struct tally all = {0};
    long before = counter("TCPSynRetrans");
    inet_pton(AF_INET, arg[0], &to.sin_addr);
    while ((made < count || open > 0) && now_us() < end) {
        if (made < count && now_us() >= start + gap * (uint64_t)made) {
            p[open] = (struct pollfd){.fd = begin(&to), .events = POLLOUT};
            began[open] = now_us();
            made++;
            open += p[open].fd >= 0;
        }
        if (poll(p, (nfds_t)open, 1) <= 0)
            continue;
        for (int i = open - 1; i >= 0; i--)
            if (p[i].revents != 0 && !step(&p[i], began[i], &all)) {
                close(p[i].fd);
                p[i] = p[--open];
                began[i] = began[open];
            }
    }
    printf("{\"asked\":%d,\"served\":%d,\"refused\":%d,\"syns_again\":%ld,\"slowest_ms\":%.1f}\n", made,
           all.served, all.refused, counter("TCPSynRetrans") - before, (double)all.slowest / 1000);
    return all.served == count ? 0 : 1;
}

int main(int argc, char **argv)
{
    signal(SIGTERM, on_signal);
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    if (argc == 6 && strcmp(argv[1], "serve") == 0)
        return serve(argv + 2);
    if ((argc == 6 || argc == 7) && strcmp(argv[1], "attack") == 0)
        return attack(argv + 2);
    if (argc == 7 && strcmp(argv[1], "connect") == 0)
        return connects(argv + 2);
    fprintf(stderr, "flood: see the top of flood.c\n");
    return 2;
}
