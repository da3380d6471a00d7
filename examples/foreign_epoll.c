/* foreign_epoll.c - tern inside a program that has its own event loop: foreign_epoll tern0 192.0.2.2/24 7000
 *
 * A chalkboard: each line typed here is sent to everybody who is connected; what they send is printed. A
 * timer of the program's own counts the visitors. The loop knows three descriptors; tern is one of them:
 *
 *     epoll ─┬─ standard input
 *            ├─ a timer
 *            └─ tern_host_fd ──▶ tern_host_turn, then tern_events
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <tern/host.h>
#include <unistd.h>

enum { VISITORS = 32, EVERY_S = 5 };

struct board {
    tern_host *host;
    tern *stack;
    tern_handle listener;
    tern_handle visitors[VISITORS]; /* .v 0 = free */
    int timer;
    bool open;
};

static void visitor_speaks(struct board *b, int i)
{
    char buf[1024];
    long n;
    while ((n = tern_recv(b->stack, b->visitors[i], buf, sizeof buf)) > 0)
        printf("%d: %.*s", i, (int)n, buf);
    fflush(stdout);
    if (n == -TERN_EAGAIN)
        return;
    tern_close(b->stack, b->visitors[i]); /* the end, one way or the other */
    b->visitors[i].v = 0;
}

static void visitor_comes(struct board *b, tern_handle h)
{
    for (int i = 0; i < VISITORS; i++) {
        if (b->visitors[i].v != 0)
            continue;
        b->visitors[i] = h;
        tern_set_data(b->stack, h, (uint64_t)i); /* events bring the number back */
        visitor_speaks(b, i);                    /* words may have come with the handshake */
        return;
    }
    tern_abort(b->stack, h); /* no place */
}

static void on_tern(struct board *b)
{
    tern_event ev[16];
    tern_handle h;
    b->open = tern_host_turn(b->host) >= 0;
    for (int n; (n = tern_events(b->stack, ev, 16)) > 0;) {
        for (int i = 0; i < n; i++) {
            if (ev[i].handle.v != b->listener.v)
                visitor_speaks(b, (int)ev[i].data);
            while (ev[i].handle.v == b->listener.v && tern_accept(b->stack, b->listener, &h) == 0)
                visitor_comes(b, h);
        }
    }
}

static void on_stdin(struct board *b)
{
    char line[1024];
    ssize_t len = read(STDIN_FILENO, line, sizeof line);
    for (int i = 0; i < VISITORS && len > 0; i++)
        if (b->visitors[i].v != 0)
            tern_send(b->stack, b->visitors[i], line, (size_t)len, 0); /* who is too slow misses a line */
    b->open = len > 0;
}

static void on_timer(struct board *b)
{
    uint64_t times;
    int count = 0;
    for (int i = 0; i < VISITORS; i++)
        count += b->visitors[i].v != 0;
    if (read(b->timer, &times, sizeof times) > 0)
        printf("%d here\n", count);
    fflush(stdout);
}

static void loop(struct board *b)
{
    int ep = epoll_create1(0), tern_fd = tern_host_fd(b->host), fds[] = {STDIN_FILENO, b->timer, tern_fd};
    for (int i = 0; i < 3; i++)
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN, .data.fd = fds[i]});
    while (b->open) {
        struct epoll_event ev;
        tern_host_flush(b->host); /* what the handlers below have asked of tern leaves before we sleep */
        if (epoll_wait(ep, &ev, 1, -1) < 1)
            continue;
        if (ev.data.fd == tern_fd)
            on_tern(b);
        else if (ev.data.fd == b->timer)
            on_timer(b);
        else
            on_stdin(b);
    }
    close(ep);
}

int main(int argc, char **argv)
{
    struct board b = {.open = true};
    tern_link *tun;
    tern_endpoint local = {0};
    char err[300];
    int prefix;
    local.port = argc == 4 ? (uint16_t)atoi(argv[3]) : 0;
    if (argc != 4 || tern_cidr_parse(argv[2], &local.ip, &prefix) < 0)
        return fprintf(stderr, "usage: %s TUN ADDRESS/PREFIX PORT\n", argv[0]), 2;
    if (tern_host_create(&b.host, &(tern_host_config){.name = "chalkboard"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) < 0)
        return fprintf(stderr, "%s\n", err), 2;
    b.stack = tern_host_stack(b.host);
    int link = tern_host_attach(b.host, tun);
    if (tern_addr_add(b.stack, link, &local.ip, prefix) < 0 ||
        tern_listen(b.stack, &local, 0, &b.listener) < 0)
        return fprintf(stderr, "cannot listen there\n"), 2;
    b.timer = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(b.timer, 0, &(struct itimerspec){{EVERY_S, 0}, {EVERY_S, 0}}, NULL);
    loop(&b);
    close(b.timer);
    tern_host_destroy(b.host);
    return 0;
}
