/* cat.c - `tern cat`: netcat over tern. Standard input goes to the network, the network to standard output;
 * the end of standard input becomes a FIN (half-close) and the other direction goes on.
 *
 * The stack lives in this process, so leaving at once after the last byte would leave the peer alone with a
 * connection that nobody answers for. So we stay until the FIN is acknowledged, and in TIME_WAIT for --linger
 * seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cmd.h"
#include "net.h"

static const char usage[] =
    "usage: tern cat [OPTION...] HOST PORT\n"
    "       tern cat -l [OPTION...] [ADDRESS] PORT\n\n"
    "Connects over tern's own TCP (or listens for one connection) and copies standard input to it and it to\n"
    "standard output. At the end of standard input it closes its direction (FIN) and goes on receiving.\n\n"
    "  -l, --listen         listen instead of connecting; the first connection is taken\n"
    "  -4, -6               only addresses of this family\n"
    "  -w, --wait SECONDS   give up connecting after this time (default: TCP's, about 3 minutes)\n"
    "      --linger SECONDS stay so long in TIME_WAIT, should our last ACK be lost (default 1; 2 MSL is 60)\n"
    "  -v, --verbose        say on standard error what happens\n"
    "%s"
    "  -h, --help           this text\n\n"
    "Exit status: 0 all was sent and received; 1 refused, reset or timed out; 2 it could not begin.\n\n"
    "Example:  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | tern cat --tun tern0 --addr 192.0.2.1/24 192.0.2.2 80\n";

enum { OPT_LINGER = 256, CAT_CHUNK = 1 << 16, CAT_PIPE = 4096, CAT_SLICES = 64 };

static const struct option long_options[] = {{"listen", no_argument, NULL, 'l'},
                                             {"wait", required_argument, NULL, 'w'},
                                             {"linger", required_argument, NULL, OPT_LINGER},
                                             {"verbose", no_argument, NULL, 'v'},
                                             {"help", no_argument, NULL, 'h'},
                                             NET_LONG_OPTIONS,
                                             {NULL, 0, NULL, 0}};

typedef struct cat {
    net net;
    net_options options;
    bool listen, verbose;
    int family;       /* 4, 6; 0 = both */
    uint64_t wait_us; /* 0 = as long as TCP tries */
    uint64_t linger_us;
    tern_endpoint ends[8]; /* to connect to, in turn; or the one to listen at */
    int n_ends;
    tern_handle h;
    bool in_open;  /* standard input may give more */
    bool out_open; /* the network may give more */
    int error;     /* what ended the connection, negative */
    int out_fd;
    bool out_blocks; /* standard output could not be made non-blocking: small pieces, each after a poll */
    uint32_t in_len, in_sent;
    char in[CAT_CHUNK]; /* read from standard input, not yet taken by the stack */
} cat;

static void say(const cat *c, const char *what, const tern_endpoint *e)
{
    char text[64];
    if (c->verbose)
        fprintf(stderr, "tern cat: %s %s\n", what, net_endpoint_text(e, text));
}

/* --- connecting ------------------------------------------------------------------------------- */

/* Take the readiness of all handles. There is one connection only, so its bits are ours. */
static uint32_t take_events(cat *c)
{
    tern_event e[16];
    uint32_t bits = 0;
    int n;
    while ((n = tern_events(c->net.stack, e, 16)) > 0)
        for (int i = 0; i < n; i++)
            bits |= e[i].bits;
    return bits;
}

static int failed(const tern_endpoint *e, int error)
{
    char text[64];
    fprintf(stderr, "tern cat: %s: %s\n", net_endpoint_text(e, text), strerror(-error));
    return CMD_NO;
}

/* Wait until the connection stands. 0, CMD_NO after saying why (it ended), or CMD_CANNOT. */
static int await_connected(cat *c, const tern_endpoint *e)
{
    uint64_t until = c->wait_us != 0 ? tern_host_now() + c->wait_us : UINT64_MAX;
    for (;;) {
        tern_info info;
        take_events(c);
        tern_get_info(c->net.stack, c->h, &info);
        if (info.state == TERN_CLOSED)
            return failed(e, info.error);
        if (info.state != TERN_SYN_SENT && info.state != TERN_SYN_RCVD)
            return 0;
        uint64_t now = tern_host_now();
        if (now >= until)
            return failed(e, -TERN_ETIMEDOUT);
        int timeout = until == UINT64_MAX ? -1 : (int)((until - now) / 1000 + 1);
        int happened = net_turn(&c->net, -1, 0, timeout);
        if (happened & NET_LOST)
            return cmd_cannot("cat", "the TUN device is gone");
        if (happened & NET_SIGNAL)
            return CMD_NO;
    }
}

/* Each address in turn, until one answers. */
static int connect_any(cat *c)
{
    int r = CMD_NO;
    for (int i = 0; i < c->n_ends; i++) {
        int e = tern_connect(c->net.stack, NULL, &c->ends[i], &c->h);
        if (e != 0) {
            r = failed(&c->ends[i], e);
            continue;
        }
        r = await_connected(c, &c->ends[i]);
        if (r == 0) {
            say(c, "connected to", &c->ends[i]);
            return 0;
        }
        tern_abort(c->net.stack, c->h);
        c->h.v = 0;
        if (r == CMD_CANNOT)
            break;
    }
    return r;
}

static int accept_one(cat *c)
{
    tern_handle listener;
    tern_info info;
    int r = tern_listen(c->net.stack, &c->ends[0], 1, &listener);
    if (r == -TERN_EADDRNOTAVAIL)
        return cmd_cannot("cat", "that is not an address of tern's; leave it out, or add it with --addr");
    if (r != 0)
        return cmd_cannot("cat", "cannot listen at port %u (%s)", c->ends[0].port, strerror(-r));
    say(c, "listening at", &c->ends[0]);
    while (tern_accept(c->net.stack, listener, &c->h) != 0) {
        take_events(c);
        int happened = net_turn(&c->net, -1, 0, -1);
        if (happened & NET_LOST)
            return cmd_cannot("cat", "the TUN device is gone");
        if (happened & NET_SIGNAL)
            return CMD_NO;
    }
    if (tern_get_info(c->net.stack, c->h, &info) == 0)
        say(c, "connection from", &info.remote);
    tern_close(c->net.stack, listener);
    return 0;
}

/* --- copying ---------------------------------------------------------------------------------- */

/* Standard output must not block us, or tern stops answering. A pipe or terminal is opened anew, so that the
 * other programs that share it do not find it changed. */
static void open_output(cat *c)
{
    struct stat st;
    c->out_fd = STDOUT_FILENO;
    if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        return;
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        c->out_fd = fd;
    else
        c->out_blocks = true;
}

/* The network has said all: whoever reads our standard output shall know, while we may go on sending. */
static void end_output(cat *c)
{
    c->out_open = false;
    if (c->out_fd != STDOUT_FILENO)
        close(c->out_fd);
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing >= 0) { /* the number stays taken, so that no later descriptor gets it */
        dup2(nothing, STDOUT_FILENO);
        close(nothing);
    }
    c->out_fd = STDOUT_FILENO;
}

/* Some of the slices to standard output. Returns what it took, or -1. */
static ssize_t write_slices(const cat *c, const tern_slice *s, int n)
{
    struct iovec v[CAT_SLICES];
    if (c->out_blocks) /* a pipe that is ready takes so much without blocking */
        return write(c->out_fd, s[0].data, s[0].len < CAT_PIPE ? s[0].len : CAT_PIPE);
    for (int i = 0; i < n; i++)
        v[i] = (struct iovec){(void *)(uintptr_t)s[i].data, s[i].len};
    return writev(c->out_fd, v, n);
}

/* The network to standard output, as much as it takes. */
static void copy_out(cat *c)
{
    tern_slice s[CAT_SLICES];
    while (c->out_open) {
        int n = tern_peek(c->net.stack, c->h, s, CAT_SLICES);
        if (n == -TERN_EAGAIN)
            return;
        if (n <= 0) {
            end_output(c);
            c->error = n;
            return;
        }
        size_t there = 0;
        for (int i = 0; i < n; i++)
            there += s[i].len;
        ssize_t done = write_slices(c, s, n);
        if (done < 0 && errno != EAGAIN && errno != EINTR) {
            c->out_open = false;
            c->error = -errno; /* nobody reads us any more */
        }
        if (done > 0)
            tern_consume(c->net.stack, c->h, (size_t)done);
        if (done < (ssize_t)there)
            return; /* standard output is full: turn() waits for it */
    }
}

/* What was read from standard input to the network; at its end, FIN. Afterwards in_sent == in_len when all
 * was taken. */
static void push_in(cat *c)
{
    while (c->in_sent < c->in_len) {
        long n = tern_send(c->net.stack, c->h, c->in + c->in_sent, c->in_len - c->in_sent, 0);
        if (n == -TERN_EAGAIN)
            return;
        if (n < 0) {
            c->error = c->error != 0 ? c->error : (int)n;
            c->in_open = false;
            c->in_sent = c->in_len;
            return;
        }
        c->in_sent += (uint32_t)n;
    }
}

static void read_in(cat *c)
{
    ssize_t n = read(STDIN_FILENO, c->in, sizeof c->in);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->in_sent = 0;
    c->in_len = n > 0 ? (uint32_t)n : 0;
    if (n > 0) {
        push_in(c);
    } else {
        c->in_open = false;
        tern_shutdown(c->net.stack, c->h);
    }
}

/* One wait for whichever side can go on. Returns NET_.... */
static int turn(cat *c)
{
    struct pollfd fds[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLOUT}};
    tern_slice first;
    if (c->in_open && c->in_sent == c->in_len)
        fds[0].fd = STDIN_FILENO;
    if (c->out_open && tern_peek(c->net.stack, c->h, &first, 1) > 0)
        fds[1].fd = c->out_fd; /* bytes wait for standard output */
    int happened = net_turn_fds(&c->net, fds, 2, -1);
    if (fds[0].revents != 0)
        read_in(c);
    return happened;
}

static int copy(cat *c)
{
    int happened = 0;
    c->in_open = c->out_open = true;
    for (;;) {
        uint32_t bits = take_events(c);
        push_in(c);
        copy_out(c);
        if (bits & TERN_ENDED) {
            tern_info info;
            tern_get_info(c->net.stack, c->h, &info);
            c->error = c->error != 0 ? c->error : info.error;
        }
        if (c->error != 0 || (!c->in_open && !c->out_open && c->in_sent == c->in_len))
            break;
        happened = turn(c);
        if (happened & NET_LOST)
            return cmd_cannot("cat", "the TUN device is gone");
        if (happened & NET_SIGNAL)
            return CMD_NO;
    }
    return c->error != 0 ? CMD_NO : CMD_OK;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Stay until the peer has everything, and for a while in TIME_WAIT. */
static int await_end(cat *c, int result)
{
    uint64_t until = UINT64_MAX;
    for (;;) {
        tern_info info;
        take_events(c);
        if (tern_get_info(c->net.stack, c->h, &info) != 0 || info.state == TERN_CLOSED) {
            if (info.error != 0 && result == CMD_OK) {
                c->error = info.error;
                result = CMD_NO;
            }
            break;
        }
        uint64_t now = tern_host_now();
        if (info.state == TERN_TIME_WAIT && until == UINT64_MAX)
            until = now + c->linger_us;
        if (now >= until)
            break;
        int timeout = until == UINT64_MAX ? -1 : (int)((until - now) / 1000 + 1);
        if (net_turn(&c->net, -1, 0, timeout) & (NET_LOST | NET_SIGNAL))
            break;
    }
    tern_close(c->net.stack, c->h);
    tern_host_flush(c->net.host);
    return result;
}

/* Why it ended, from the stack's own record, unless all went well. */
static int conclude(cat *c, int result)
{
    tern_info info;
    if (result == CMD_OK) {
        tern_shutdown(c->net.stack, c->h);
        result = await_end(c, result);
    }
    if (result == CMD_NO && c->error != 0) {
        bool known = tern_get_info(c->net.stack, c->h, &info) == 0 && info.state == TERN_CLOSED;
        fprintf(stderr, "tern cat: %s%s%s\n", strerror(-c->error), known ? ": " : "",
                known ? tern_cause_text((enum tern_cause)info.reason) : "");
    }
    tern_abort(c->net.stack, c->h); /* a stale handle after an orderly end: nothing happens */
    tern_host_flush(c->net.host);
    return result;
}

/* --- options ---------------------------------------------------------------------------------- */

static bool seconds(const char *text, uint64_t *us)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= 0 && v <= 86400))
        return false;
    *us = (uint64_t)(v * 1e6);
    return true;
}

static int set_option(cat *c, int option, const char *value)
{
    switch (option) {
    case 'l': c->listen = true; return 0;
    case '4':
    case '6': c->family = option - '0'; return 0;
    case 'v': c->verbose = true; return 0;
    case 'w':
    case OPT_LINGER:
        if (!seconds(value, option == 'w' ? &c->wait_us : &c->linger_us))
            return cmd_cannot("cat", "'%s' is no time in seconds", value);
        return 0;
    case '?': return cmd_cannot("cat", "see tern cat --help");
    default: return net_option(&c->options, option, value);
    }
}

/* Where to connect to, or to listen at. */
static int set_ends(cat *c, int n, char **words)
{
    if (c->listen && n == 1) {
        c->ends[0] = (tern_endpoint){.port = net_port(words[0])};
        c->n_ends = 1;
        if (c->ends[0].port == 0)
            return cmd_cannot("cat", "'%s' is no port; give a number from 1 to 65535", words[0]);
        return 0;
    }
    if (n != 2)
        return cmd_cannot("cat", "%s",
                          c->listen ? "which port? Try: tern cat -l 9000"
                                    : "which host and port? Try: tern cat 192.0.2.2 80");
    int got = net_resolve(&c->options, words[0], words[1], c->ends, 8);
    if (got < 0)
        return -got;
    for (int i = 0; i < got; i++)
        if (c->family == 0 || (c->family == 4) == tern_ip_is4(&c->ends[i].ip))
            c->ends[c->n_ends++] = c->ends[i];
    return c->n_ends > 0 ? 0 : cmd_cannot("cat", "%s has no IPv%d address", words[0], c->family);
}

static int run(cat *c)
{
    int r = net_open(&c->net, &c->options);
    if (r != 0)
        return r;
    r = c->listen ? accept_one(c) : connect_any(c);
    if (r == 0) {
        open_output(c);
        r = conclude(c, copy(c));
    }
    net_close(&c->net);
    return r;
}

int cmd_cat(int argc, char **argv)
{
    cat *c = calloc(1, sizeof *c);
    int option, r = 0;
    if (c == NULL)
        return cmd_cannot("cat", "not enough memory");
    c->options.command = "cat";
    c->linger_us = 1000000;
    while (r == 0 && (option = getopt_long(argc, argv, "l46w:vh", long_options, NULL)) != -1) {
        if (option == 'h') {
            printf(usage, net_help);
            free(c);
            return CMD_OK;
        }
        r = set_option(c, option, optarg);
    }
    if (r == 0)
        r = set_ends(c, argc - optind, argv + optind);
    if (r == 0)
        r = run(c);
    free(c);
    return r;
}
