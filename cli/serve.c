/* serve.c - `tern serve`: static files over HTTP/1.1 from tern's own TCP. Options, listeners, the loop. */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd.h"

static const char usage[] =
    "usage: tern serve [OPTION...] DIR\n\n"
    "Serves the files below DIR over HTTP/1.1, from tern's own TCP on a TUN device.\n\n"
    "  -p, --port PORT      listen on this port of every address (default 80)\n"
    "      --listen WHERE   also listen there: PORT, ADDRESS:PORT or [ADDRESS]:PORT; may be repeated\n"
    "  -v, --verbose        one line on standard output for each request\n"
    "      --name NAME      what this server is called (default serve): by --handover, by tern ss\n"
    "      --handover[=PID] take over from the running server of this name, with its device, addresses,\n"
    "                       listeners and all connections, in the middle of whatever they do; the old one\n"
    "                       ends. PID: which one, when there are several\n"
    "      --queues N       N queues of the device, each with a stack and a thread of its own, which share\n"
    "                       nothing (1 to 16)\n"
    "%s"
    "  -h, --help           this text\n\n"
    "Example:  tern serve /srv/www --tun tern0 --addr 192.0.2.1/24\n"
    "          ip addr add 192.0.2.2/24 dev tern0; ip link set tern0 up; curl http://192.0.2.1/\n";

enum { OPT_LISTEN = 256, OPT_NAME, OPT_HANDOVER, OPT_QUEUES };

static const struct option long_options[] = {{"port", required_argument, NULL, 'p'},
                                             {"listen", required_argument, NULL, OPT_LISTEN},
                                             {"verbose", no_argument, NULL, 'v'},
                                             {"name", required_argument, NULL, OPT_NAME},
                                             {"handover", optional_argument, NULL, OPT_HANDOVER},
                                             {"queues", required_argument, NULL, OPT_QUEUES},
                                             {"help", no_argument, NULL, 'h'},
                                             NET_LONG_OPTIONS,
                                             {NULL, 0, NULL, 0}};

/* "8080", "192.0.2.1:8080", "[2001:db8::1]:8080". */
static bool where_parse(const char *text, tern_endpoint *out)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    *out = (tern_endpoint){0};
    char *colon = strrchr(copy, ':');
    out->port = net_port(colon != NULL ? colon + 1 : copy);
    if (colon == NULL || out->port == 0)
        return out->port != 0;
    *colon = '\0';
    char *ip = copy;
    if (ip[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        ip++;
    }
    return tern_ip_parse(ip, &out->ip) == 0;
}

static int add_listen(server *s, const char *text)
{
    if (s->n_listens == SERVE_LISTENS)
        return cmd_cannot("serve", "at most %d places to listen at", SERVE_LISTENS);
    if (!where_parse(text, &s->listens[s->n_listens]))
        return cmd_cannot("serve", "cannot listen at '%s'; give a port from 1 to 65535, or ADDRESS:PORT",
                          text);
    s->n_listens++;
    return 0;
}

static int set_handover(server *s, const char *pid)
{
    char *end = NULL;
    long v = pid != NULL ? strtol(pid, &end, 10) : 0;
    if (pid != NULL && (v <= 0 || v > INT32_MAX || *end != '\0'))
        return cmd_cannot("serve", "'%s' is no process number; see tern ss", pid);
    s->takes_over = true;
    s->old_pid = (int)v;
    return 0;
}

static int set_queues(server *s, const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (n < 1 || n > TERN_QUEUES || *end != '\0')
        return cmd_cannot("serve", "'%s' is no number of queues; 1 to %d", text, TERN_QUEUES);
    s->queues = (int)n;
    return 0;
}

/* What several threads cannot do. */
static int queues_fit(const server *s)
{
    if (s->queues == 0)
        return 0;
    if (s->takes_over)
        return cmd_cannot("serve", "a handover is of one stack; leave out --queues or --handover");
    if (s->options.trace != NULL || s->options.ladder || s->options.pcap.file != NULL)
        return cmd_cannot("serve", "--trace, --ladder and --pcap tell of one stack; leave out --queues");
    return 0;
}

/* 0 = go on; 1 = --help was answered; otherwise CMD_CANNOT. */
static int read_options(server *s, int argc, char **argv)
{
    int c, r = 0;
    while (r == 0 && (c = getopt_long(argc, argv, "p:vh", long_options, NULL)) != -1) {
        if (c == 'h') {
            printf(usage, net_help);
            return 1;
        }
        if (c == '?')
            return cmd_cannot("serve", "see tern serve --help");
        if (c == 'p' || c == OPT_LISTEN)
            r = add_listen(s, optarg);
        else if (c == 'v')
            s->verbose = true;
        else if (c == OPT_NAME)
            s->options.name = optarg;
        else if (c == OPT_HANDOVER)
            r = set_handover(s, optarg);
        else if (c == OPT_QUEUES)
            r = set_queues(s, optarg);
        else
            r = net_option(&s->options, c, optarg);
    }
    if (r == 0)
        r = queues_fit(s);
    if (r != 0)
        return r;
    if (optind + 1 != argc)
        return cmd_cannot("serve", optind == argc ? "which directory? Try: tern serve ."
                                                  : "one directory only; put names with blanks in quotes");
    s->root_name = argv[optind];
    return s->n_listens == 0 && !s->takes_over ? add_listen(s, "80") : 0;
}

static int open_root(server *s)
{
    s->root = open(s->root_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root >= 0)
        return 0;
    if (errno == ENOENT)
        return cmd_cannot("serve", "there is no directory %s; make it, or name another", s->root_name);
    if (errno == ENOTDIR)
        return cmd_cannot("serve", "%s is no directory; name the directory that holds it", s->root_name);
    return cmd_cannot("serve", "the directory %s cannot be opened (%s)", s->root_name, strerror(errno));
}

static int open_listeners(server *s, int first)
{
    for (int i = first; i < s->n_listens; i++) {
        char where[64];
        int r = tern_listen(s->net.stack, &s->listens[i], 1024, &s->listeners[i]);
        net_endpoint_text(&s->listens[i], where);
        if (r == -TERN_EADDRINUSE)
            return cmd_cannot("serve", "port %u is given twice; leave one out", s->listens[i].port);
        if (r == -TERN_EADDRNOTAVAIL)
            return cmd_cannot("serve", "%s is not an address of tern's; add it with --addr", where);
        if (r != 0)
            return cmd_cannot("serve", "cannot listen at %s (%s)", where, strerror(-r));
        tern_setopt(s->net.stack, s->listeners[i], TERN_OPT_KEEPALIVE, 1);
        tern_set_data(s->net.stack, s->listeners[i], (uint64_t)i + 1);
    }
    return 0;
}

/* Each answer may hold a file open: as many as the system lets us. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void accept_all(server *s, tern_handle listener)
{
    tern_handle h;
    while (tern_accept(s->net.stack, listener, &h) == 0)
        conn_open(s, h);
}

/* The number attached to a handle is a listener's place plus one, or the address of a conn (always
 * larger). */
static void on_event(server *s, const tern_event *e)
{
    if (e->data >= 1 && e->data <= SERVE_LISTENS)
        accept_all(s, s->listeners[e->data - 1]);
    else if (e->data != 0)
        conn_run(s, (conn *)(uintptr_t)e->data);
    else if (e->bits & TERN_RETURNED)
        pages_returned(s);
}

static void take_events(server *s)
{
    tern_event events[64];
    int n;
    do {
        n = tern_events(s->net.stack, events, 64);
        for (int i = 0; i < n; i++)
            on_event(s, &events[i]);
    } while (n > 0);
}

static void say_ready(const server *s, const net_options *o)
{
    static const tern_ip any;
    for (int i = 0; i < s->n_listens; i++) {
        tern_endpoint e = s->listens[i];
        char text[64];
        if (memcmp(&e.ip, &any, sizeof any) == 0 && o->n_addrs > 0)
            e.ip = o->addrs[0].ip;
        else if (memcmp(&e.ip, &any, sizeof any) == 0)
            e.ip = tern_ip4(192, 0, 2, 1);
        fprintf(stderr, "tern serve: %s is at http://%s/\n", s->root_name, net_endpoint_text(&e, text));
    }
}

/* Those at rest end in order, the others are reset, which tells their clients at once; the last segments get
 * a moment. */
static void end_all(server *s)
{
    for (int i = 0; i < s->n_listens; i++)
        tern_close(s->net.stack, s->listeners[i]);
    while (s->conns != NULL) {
        conn *c = s->conns;
        if (c->phase == PHASE_SEND)
            tern_abort(s->net.stack, c->h);
        else
            tern_close(s->net.stack, c->h);
        conn_free(s, c);
    }
    net_drain(&s->net, 300);
}

int server_run(server *s)
{
    int happened = 0;
    while (!(happened & (NET_SIGNAL | NET_LOST))) {
        take_events(s);
        if (pages_broken(s))
            conn_check(s);
        if (tern_host_handover_asked(s->net.host) && move_out(s))
            return CMD_OK;
        conn_sweep(s, tern_now(s->net.stack));
        happened = net_turn(&s->net, -1, 0, s->n_conns > 0 ? 1000 : -1);
    }
    if (happened & NET_LOST)
        return s->aside ? CMD_CANNOT : cmd_cannot("serve", "the TUN device is gone");
    end_all(s);
    return CMD_OK;
}

/* From nothing. */
int server_start(server *s)
{
    int r = net_open(&s->net, &s->options);
    if (r == 0)
        pages_open(s);
    if (r == 0 && (r = open_listeners(s, 0)) == 0 && !s->aside)
        say_ready(s, &s->options);
    return r;
}

/* From another process: its listeners, and those that are named here and are new. Until the last line it can
 * all be given up, and the other process goes on. */
static int take_over(server *s)
{
    tern_luggage luggage;
    int n_new = s->n_listens;
    tern_endpoint new_ones[SERVE_LISTENS];
    memcpy(new_ones, s->listens, sizeof new_ones);
    int r = net_take_over(&s->net, &s->options, s->old_pid, &luggage);
    if (r == 0)
        r = move_in(s, &luggage);
    int first = s->n_listens;
    for (int i = 0; r == 0 && i < n_new; i++) {
        bool known = false;
        for (int k = 0; k < first; k++)
            known |= memcmp(&s->listens[k], &new_ones[i], sizeof new_ones[i]) == 0;
        if (!known && s->n_listens < SERVE_LISTENS)
            s->listens[s->n_listens++] = new_ones[i];
    }
    if (r == 0)
        r = open_listeners(s, first);
    if (r == 0)
        r = net_own(&s->net, &s->options);
    if (r == 0) {
        pages_open(s);
        uint64_t still = tern_host_now() - tern_now(s->net.stack);
        fprintf(stderr, "tern serve: took over with %u connections, which stood still for %u.%u ms\n",
                s->n_conns, (unsigned)(still / 1000), (unsigned)(still / 100 % 10));
    }
    return r;
}

void server_end(server *s)
{
    while (s->conns != NULL)
        conn_free(s, s->conns);
    net_close(&s->net);
    pages_close(s);
}

static int serve_alone(server *s)
{
    int r = s->takes_over ? take_over(s) : server_start(s);
    if (r == 0) {
        tern_host_allow_handover(s->net.host, true);
        r = server_run(s);
    }
    server_end(s);
    return r;
}

int cmd_serve(int argc, char **argv)
{
    server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return cmd_cannot("serve", "not enough memory");
    s->options.command = "serve";
    s->root = -1;
    int r = read_options(s, argc, argv);
    if (r == 0)
        r = open_root(s);
    if (r == 0) {
        raise_file_limit();
        r = s->queues > 0 ? crew_serve(s) : serve_alone(s);
    } else if (r == 1) {
        r = CMD_OK;
    }
    if (s->root >= 0)
        close(s->root);
    free(s);
    return r;
}
