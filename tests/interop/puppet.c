/* puppet - a tern that does what it is told, so that a script can hold connections in any state while the
 * kernel is the peer.
 *
 *     puppet TUN CIDR...      commands on standard input, one a line; each is answered with one line
 *
 * listen NAME PORT            connect NAME ADDRESS PORT      accept NAME LISTENER (waits 5 s)
 * send NAME BYTES             recv NAME                      shutdown NAME, close NAME, abort NAME
 * wait NAME STATE             until it is in that state (5 s)
 * drop in|out WHAT            from now on lose what comes or what leaves; WHAT: none, all, syn, fin, rst, ack
 *                             (ack: segments with neither SYN, FIN nor RST)
 * quit
 *
 * The loss is a link of its own around the device's: the public API lets a program wrap a link.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tern/host.h>

enum what { NONE, ALL, SYN, FIN, RST, ACK };
static const char *const whats[] = {"none", "all", "syn", "fin", "rst", "ack"};

/* --- a link that loses chosen segments ---------------------------------------------------------------- */

typedef struct filter {
    tern_link link;
    tern_link *inner;
    enum what in, out;
} filter;

/* The flags of a TCP segment; 0 = no TCP. */
static uint8_t tcp_flags(const uint8_t *p, uint32_t len)
{
    uint32_t tcp = p[0] >> 4 == 6 ? 40 : (uint32_t)(p[0] & 15) * 4;
    uint8_t protocol = p[0] >> 4 == 6 ? p[6] : p[9];
    return protocol == 6 && len >= tcp + 20 ? p[tcp + 13] : 0;
}

static bool lost(enum what what, const uint8_t *p, uint32_t len)
{
    uint8_t flags = tcp_flags(p, len);
    switch (what) {
    case ALL: return true;
    case SYN: return flags & 2;
    case FIN: return flags & 1;
    case RST: return flags & 4;
    case ACK: return flags != 0 && (flags & 7) == 0;
    default: return false;
    }
}

static int filter_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    filter *f = (filter *)l;
    int n = f->inner->ops->rx(f->inner, now, pkts, max), kept = 0;
    for (int i = 0; i < n; i++)
        if (!lost(f->in, pkts[i].data, pkts[i].len))
            pkts[kept++] = pkts[i];
    return n < 0 ? n : kept;
}

static int filter_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    filter *f = (filter *)l;
    for (int i = 0; i < n; i++)
        if (!lost(f->out, pkts[i].hdr, pkts[i].hdr_len))
            f->inner->ops->tx(f->inner, now, &pkts[i], 1);
    return n;
}

static int filter_fd(const tern_link *l)
{
    const filter *f = (const filter *)l;
    return f->inner->ops->fd(f->inner);
}

static uint64_t filter_next(const tern_link *l)
{
    const filter *f = (const filter *)l;
    return f->inner->ops->next(f->inner);
}

static void filter_close(tern_link *l)
{
    tern_link_close(((filter *)l)->inner);
    free(l);
}

static const struct tern_link_ops filter_ops = {.name = "filter",
                                                .rx = filter_rx,
                                                .tx = filter_tx,
                                                .fd = filter_fd,
                                                .next = filter_next,
                                                .close = filter_close};

static filter *filter_around(tern_link *inner)
{
    filter *f = calloc(1, sizeof *f);
    if (f != NULL) {
        f->link = (tern_link){.ops = &filter_ops, .info = inner->info};
        f->inner = inner;
    }
    return f;
}

/* --- the commands ------------------------------------------------------------------------------------- */

enum { NAMES = 32, PATIENCE_US = 5000000 };

typedef struct puppet {
    tern_host *host;
    tern *stack;
    filter *path;
    struct {
        char name[16];
        tern_handle h;
    } names[NAMES];
    int n;
} puppet;

static tern_handle *handle(puppet *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->names[i].name, name) == 0)
            return &p->names[i].h;
    if (p->n == NAMES)
        exit(2);
    snprintf(p->names[p->n].name, sizeof p->names[p->n].name, "%s", name);
    return &p->names[p->n++].h;
}

/* One wait and turn; events are not needed, who waits looks again. */
static void turn(puppet *p, int timeout_ms)
{
    tern_event events[16];
    tern_host_flush(p->host);
    tern_host_wait(p->host, timeout_ms);
    tern_host_turn(p->host);
    while (tern_events(p->stack, events, 16) > 0)
        continue;
}

static int answer(long r)
{
    if (r < 0)
        printf("error %s\n", strerror((int)-r));
    else
        printf("ok %ld\n", r);
    return 0;
}

static int do_listen(puppet *p, const char *name, const char *port)
{
    tern_endpoint e = {.port = (uint16_t)atoi(port)};
    return answer(tern_listen(p->stack, &e, 0, handle(p, name)));
}

static int do_connect(puppet *p, const char *name, const char *address, const char *port)
{
    tern_endpoint e = {.port = (uint16_t)atoi(port)};
    if (tern_ip_parse(address, &e.ip) != 0)
        return answer(-TERN_EINVAL);
    return answer(tern_connect(p->stack, NULL, &e, handle(p, name)));
}

static int do_accept(puppet *p, const char *name, const char *listener)
{
    uint64_t until = tern_host_now() + PATIENCE_US;
    int r;
    while ((r = tern_accept(p->stack, *handle(p, listener), handle(p, name))) == -TERN_EAGAIN &&
           tern_host_now() < until)
        turn(p, 20);
    return answer(r);
}

static int do_wait(puppet *p, const char *name, const char *state)
{
    uint64_t until = tern_host_now() + PATIENCE_US;
    for (;;) {
        tern_info info = {0};
        int r = tern_get_info(p->stack, *handle(p, name), &info);
        const char *is = tern_state_name((enum tern_state)info.state);
        if (r < 0)
            return answer(r);
        if (strcmp(is, state) == 0)
            return answer(0);
        if (tern_host_now() >= until) {
            printf("error it is %s\n", is);
            return 0;
        }
        turn(p, 20);
    }
}

static int do_drop(puppet *p, const char *way, const char *what)
{
    for (int i = NONE; i <= ACK; i++) {
        if (strcmp(what, whats[i]) != 0)
            continue;
        if (strcmp(way, "in") == 0)
            p->path->in = (enum what)i;
        else
            p->path->out = (enum what)i;
        return answer(0);
    }
    return answer(-TERN_EINVAL);
}

static int do_send(puppet *p, const char *name, const char *bytes)
{
    static const char data[65536];
    size_t len = (size_t)atol(bytes);
    return answer(tern_send(p->stack, *handle(p, name), data, len < sizeof data ? len : sizeof data, 0));
}

static int do_recv(puppet *p, const char *name)
{
    static char data[65536];
    return answer(tern_recv(p->stack, *handle(p, name), data, sizeof data));
}

/* Returns 1 when it is over. */
static int obey(puppet *p, char *line)
{
    char word[4][48] = {""};
    if (sscanf(line, "%47s %47s %47s %47s", word[0], word[1], word[2], word[3]) < 1)
        return 0;
    if (strcmp(word[0], "quit") == 0)
        return 1;
    if (strcmp(word[0], "listen") == 0)
        return do_listen(p, word[1], word[2]);
    if (strcmp(word[0], "connect") == 0)
        return do_connect(p, word[1], word[2], word[3]);
    if (strcmp(word[0], "accept") == 0)
        return do_accept(p, word[1], word[2]);
    if (strcmp(word[0], "wait") == 0)
        return do_wait(p, word[1], word[2]);
    if (strcmp(word[0], "drop") == 0)
        return do_drop(p, word[1], word[2]);
    if (strcmp(word[0], "send") == 0)
        return do_send(p, word[1], word[2]);
    if (strcmp(word[0], "recv") == 0)
        return do_recv(p, word[1]);
    if (strcmp(word[0], "shutdown") == 0)
        return answer(tern_shutdown(p->stack, *handle(p, word[1])));
    if (strcmp(word[0], "close") == 0)
        return answer(tern_close(p->stack, *handle(p, word[1])));
    if (strcmp(word[0], "abort") == 0)
        return answer(tern_abort(p->stack, *handle(p, word[1])));
    printf("error no command %s\n", word[0]);
    return 0;
}

/* --- the program -------------------------------------------------------------------------------------- */

static int set_up(puppet *p, int argc, char **argv)
{
    char err[256] = "";
    tern_host_config cfg = {.name = "puppet"};
    tern_link *tun;
    if (tern_host_create(&p->host, &cfg, err, sizeof err) != 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) != 0 || (p->path = filter_around(tun)) == NULL) {
        fprintf(stderr, "puppet: %s\n", err);
        return 2;
    }
    p->stack = tern_host_stack(p->host);
    int link = tern_host_attach(p->host, &p->path->link);
    for (int i = 2; i < argc; i++) {
        tern_ip ip;
        int prefix;
        if (tern_cidr_parse(argv[i], &ip, &prefix) != 0 || tern_addr_add(p->stack, link, &ip, prefix) != 0)
            return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static puppet p;
    char input[256];
    size_t len = 0;
    int over = 0;
    if (argc < 3 || set_up(&p, argc, argv) != 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    while (!over) {
        struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {tern_host_fd(p.host), POLLIN, 0}};
        tern_host_flush(p.host);
        poll(fds, 2, -1);
        turn(&p, 0);
        if (fds[0].revents == 0)
            continue;
        ssize_t n = read(STDIN_FILENO, input + len, 1);
        if (n <= 0)
            break;
        if (input[len] != '\n') {
            len += len < sizeof input - 1;
            continue;
        }
        input[len] = '\0';
        len = 0;
        over = obey(&p, input);
    }
    tern_host_destroy(p.host);
    return 0;
}
