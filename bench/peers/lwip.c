/* lwip.c - lwIP as Debian packages it (liblwip0), two stacks in one thread, each the other's link.
 *
 *     peer-lwip [W1|W2|W2c|W3|W4|W4r|W5|W6]... [--seconds S] [--core N]
 *
 * lwIP keeps its state in variables of the library, so the library is loaded twice, the second time in a
 * namespace of its own (dlmopen). The raw API is used, no thread of lwIP's runs, and the clock is
 * ours: `tcp_ticks` is moved on and the slow timer called, so that what is over in TIME_WAIT goes. A packet
 * is copied once, from the sender's buffers into one of the receiver's, and all checksums are made and
 * verified. The package is built with a window of 64 KiB, malloc for every block, and locks.
 *
 * W4 to W5: one stack on a TUN device without offloads, which lwIP does not know, and the kernel at the
 *    other
 * end (../tun_world.c), both on one core. */
#include "../tun.h"
#include "peer.h"

#include <dlfcn.h>
#include <malloc.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lwip/init.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>

#define STACK    "lwip"
#define LIBRARY  "liblwip.so.0"
#define QUEUE    (1u << 16) /* packets on their way to one end */
#define PORT_SINK  9
#define PORT_SERVE 80 /* and those behind it: a listener's backlog is one byte */
#define SERVERS    5
#define BACKLOG    250
#define TW_TICKS 242 /* of 500 ms: 2 MSL of lwIP and a little */
#define MOST    50000

/* The calls of lwIP that are used, by name. */
#define CALLS(X)                                                                                             \
    X(lwip_init) X(netif_add) X(netif_set_up) X(netif_set_link_up) X(tcp_new) X(tcp_bind) X(tcp_bind_netif)  \
    X(tcp_listen_with_backlog) X(tcp_accept) X(tcp_arg) X(tcp_recv) X(tcp_connect) X(tcp_write)              \
    X(tcp_output) X(tcp_recved) X(tcp_close) X(tcp_abort) X(ip4_input) X(pbuf_alloc) X(pbuf_free)            \
    X(pbuf_copy_partial) X(tcp_sent)

struct end {
#define X(name) __typeof__(&name) name;
    CALLS(X)
#undef X
    void (*slow_timer)(void), (*timer)(void);
    u32_t *ticks;
    struct netif nif;
    ip_addr_t ip;
    struct end *other; /* NULL: a TUN device is there instead */
    int tun;
    struct pbuf *queue[QUEUE]; /* that have arrived and are not yet looked at */
    uint32_t head, tail;
};

static struct end a, b;
static uint8_t in[1 << 16], out[1 << 16];
static uint64_t got;      /* bytes that a program has read, or had acknowledged; requests answered */
static uint64_t finished; /* lives whose client has closed */
static uint64_t lost;     /* packets without room */
static bool at_once;      /* the sink acknowledges each segment without delay */

static void need(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "peer-lwip: %s\n", what);
    exit(1);
}

static void *call_of(void *so, const char *name)
{
    void *p = dlsym(so, name);
    need(p != NULL, name);
    return p;
}

/* --- the wire ---------------------------------------------------------------------------------- */

static err_t leaves_by_tun(int fd, struct pbuf *p)
{
    uint8_t packet[2048];
    uint32_t len = 0;
    for (; p != NULL; len += p->len, p = p->next)
        memcpy(packet + len, p->payload, p->len);
    return write(fd, packet, len) == (ssize_t)len ? ERR_OK : ERR_IF;
}

/* What one end sends becomes a buffer of the other end. */
static err_t leaves(struct netif *nif, struct pbuf *p, const ip4_addr_t *to)
{
    struct end *e = nif->state, *o = e->other;
    (void)to;
    if (o == NULL)
        return leaves_by_tun(e->tun, p);
    struct pbuf *q = o->pbuf_alloc(PBUF_RAW, p->tot_len, PBUF_RAM);
    if (q == NULL || o->tail - o->head == QUEUE) {
        lost++;
        return ERR_MEM;
    }
    uint8_t *at = q->payload;
    for (; p != NULL; at += p->len, p = p->next)
        memcpy(at, p->payload, p->len);
    o->queue[o->tail++ % QUEUE] = q;
    return ERR_OK;
}

static uint32_t arrive(struct end *e)
{
    uint32_t n = e->tail - e->head;
    for (uint32_t k = 0; k < n; k++)
        e->ip4_input(e->queue[e->head++ % QUEUE], &e->nif);
    return n;
}

static void settle(void)
{
    while (arrive(&b) + arrive(&a) > 0)
        continue;
}

static err_t link_init(struct netif *nif)
{
    nif->output = leaves;
    nif->mtu = 1500;
    return ERR_OK;
}

static void end_init(struct end *e, struct end *other, void *so, uint8_t host)
{
#define X(name) *(void **)&e->name = call_of(so, #name);
    CALLS(X)
#undef X
    *(void **)&e->slow_timer = call_of(so, "tcp_slowtmr");
    *(void **)&e->timer = call_of(so, "tcp_tmr");
    e->ticks = call_of(so, "tcp_ticks");
    e->other = other;
    e->lwip_init();
    ip4_addr_t ip, mask, way;
    IP4_ADDR(&ip, 192, 0, 2, host);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&way, 0, 0, 0, 0);
    need(e->netif_add(&e->nif, &ip, &mask, &way, e, link_init, e->ip4_input) != NULL, "netif_add");
    e->netif_set_up(&e->nif);
    e->netif_set_link_up(&e->nif);
    ip_addr_copy_from_ip4(e->ip, ip);
}

/* TIME_WAIT is over for all that are in it. */
static void two_msl_pass(struct end *e)
{
    *e->ticks += TW_TICKS;
    e->slow_timer();
}

/* --- programs ---------------------------------------------------------------------------------- */

static err_t sink_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)err;
    if (p == NULL)
        return b.tcp_close(pcb);
    got += b.pbuf_copy_partial(p, out, p->tot_len, 0);
    b.tcp_recved(pcb, p->tot_len);
    b.pbuf_free(p);
    if (at_once)
        tcp_set_flags(pcb, TF_ACK_NOW);
    return ERR_OK;
}

static err_t sink_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg, (void)err;
    b.tcp_recv(pcb, sink_recv);
    return ERR_OK;
}

static err_t serve_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)err;
    if (p == NULL)
        return b.tcp_close(pcb);
    uint16_t n = b.pbuf_copy_partial(p, out, p->tot_len, 0);
    b.tcp_recved(pcb, p->tot_len);
    b.pbuf_free(p);
    need(b.tcp_write(pcb, out, n, TCP_WRITE_FLAG_COPY) == ERR_OK, "the server cannot write");
    return b.tcp_output(pcb);
}

static err_t serve_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg, (void)err;
    b.tcp_recv(pcb, serve_recv);
    return ERR_OK;
}

static err_t client_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)err;
    if (p == NULL)
        return ERR_OK; /* the server's FIN, behind ours */
    a.pbuf_copy_partial(p, out, p->tot_len, 0);
    a.tcp_recved(pcb, p->tot_len);
    a.pbuf_free(p);
    finished++;
    return a.tcp_close(pcb);
}

static err_t client_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg, (void)err;
    a.tcp_recv(pcb, client_recv);
    need(a.tcp_write(pcb, in, 64, TCP_WRITE_FLAG_COPY) == ERR_OK, "the client cannot write");
    return a.tcp_output(pcb);
}

static err_t idle_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg, (void)pcb, (void)err;
    return ERR_OK;
}

static void listen_on(uint16_t port, tcp_accept_fn accept)
{
    struct tcp_pcb *l = b.tcp_new();
    need(l != NULL && b.tcp_bind(l, &b.ip, port) == ERR_OK, "bind");
    l = b.tcp_listen_with_backlog(l, BACKLOG);
    need(l != NULL, "listen");
    b.tcp_accept(l, accept);
}

static struct tcp_pcb *connect_to(uint16_t port, tcp_connected_fn connected)
{
    struct tcp_pcb *c = a.tcp_new();
    need(c != NULL && a.tcp_connect(c, &b.ip, port, connected) == ERR_OK, "connect");
    return c;
}

/* --- rows -------------------------------------------------------------------------------------- */

static void bulk(uint32_t segments, double seconds)
{
    struct tcp_pcb *c = connect_to(PORT_SINK, idle_connected);
    char what[16];
    settle();
    got = 0;
    double start = cpu_seconds(), used;
    do {
        for (int k = 0; k < 200; k++) {
            for (uint32_t sent = 0; sent < segments * TCP_MSS && tcp_sndbuf(c) > 0;) {
                uint32_t n = segments * TCP_MSS - sent;
                n = n < tcp_sndbuf(c) ? n : tcp_sndbuf(c);
                if (a.tcp_write(c, in, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
                    break;
                sent += n;
            }
            a.tcp_output(c);
            arrive(&b);
            arrive(&a);
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    snprintf(what, sizeof what, "%u", segments);
    result("W1", what, STACK, "Gbit/s", (double)got * 8 / used / 1e9);
    a.tcp_abort(c);
    settle();
}

static void lives(const char *row, uint32_t together, double seconds)
{
    double start = cpu_seconds(), used;
    finished = 0;
    do {
        for (uint32_t n = 0; n < 1000; n += together) {
            for (uint32_t k = 0; k < together; k++)
                connect_to((uint16_t)(PORT_SERVE + k / BACKLOG), client_connected);
            settle();
            if (together > 1 || n % 16 == 15)
                two_msl_pass(&a);
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    need(lost == 0, "packets were lost");
    result(row, "", STACK, "lives/cpu-s", (double)finished / used);
}

static double bytes_each(struct mallinfo2 before, uint32_t n)
{
    return (double)(mallinfo2().uordblks - before.uordblks) / n;
}

/* Bytes of end a, whose memory is this program's own: half-open, established, TIME_WAIT. */
static void sizes(void)
{
    enum { N = 2000 };
    static struct tcp_pcb *c[N];
    struct tcp_pcb *l = a.tcp_new();
    struct mallinfo2 before;
    a.tcp_bind(l, &a.ip, PORT_SINK);
    l = a.tcp_listen_with_backlog(l, BACKLOG);
    settle();
    before = mallinfo2();
    for (uint32_t k = 0; k < N; k++) {
        c[k] = connect_to(PORT_SINK, idle_connected);
        arrive(&b), arrive(&a), arrive(&b);
    }
    result("W3", "established", STACK, "bytes", bytes_each(before, N));
    for (uint32_t k = 0; k < N; k++) {
        a.tcp_close(c[k]);
        arrive(&b), arrive(&a), arrive(&b), arrive(&a);
    }
    result("W3", "time-wait", STACK, "bytes", bytes_each(before, N));
    two_msl_pass(&a);
    before = mallinfo2();
    for (uint32_t k = 0; k < BACKLOG; k++) {
        struct tcp_pcb *s = b.tcp_new();
        need(b.tcp_connect(s, &a.ip, PORT_SINK, idle_connected) == ERR_OK, "connect");
        arrive(&a);
        while (b.head != b.tail) /* the SYN+ACK is lost */
            b.pbuf_free(b.queue[b.head++ % QUEUE]);
    }
    result("W3", "half-open", STACK, "bytes", bytes_each(before, BACKLOG));
}

static void spoken_to(uint32_t n, double seconds)
{
    static struct tcp_pcb *c[MOST];
    uint64_t dice = 1, packets = 0;
    char what[16];
    for (uint32_t k = 0; k < n; k++) {
        c[k] = connect_to(PORT_SINK, idle_connected);
        arrive(&b), arrive(&a), arrive(&b);
    }
    at_once = true;
    double used = 0;
    do {
        for (uint32_t k = 0; k < 64; k++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            struct tcp_pcb *p = c[(dice >> 33) % n];
            need(a.tcp_write(p, in, 64, TCP_WRITE_FLAG_COPY) == ERR_OK, "write");
            a.tcp_output(p);
        }
        double start = cpu_seconds();
        packets += arrive(&b);
        used += cpu_seconds() - start; /* the receiver alone */
        arrive(&a);
    } while (used < seconds);
    snprintf(what, sizeof what, "%u", n);
    result("W6", what, STACK, "ns/packet", used / (double)packets * 1e9);
}

/* --- over TUN ---------------------------------------------------------------------------------- */

static err_t tun_sink_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)err;
    if (p == NULL)
        return a.tcp_close(pcb);
    got += a.pbuf_copy_partial(p, out, p->tot_len, 0);
    a.tcp_recved(pcb, p->tot_len);
    a.pbuf_free(p);
    return ERR_OK;
}

static err_t tun_source_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
    (void)arg;
    got += n;
    while (tcp_sndbuf(pcb) > 0 && a.tcp_write(pcb, in, tcp_sndbuf(pcb), TCP_WRITE_FLAG_COPY) == ERR_OK)
        continue;
    return ERR_OK;
}

static err_t tun_web_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    (void)arg, (void)err;
    if (p == NULL)
        return a.tcp_close(pcb);
    uint16_t n = a.pbuf_copy_partial(p, out, p->tot_len, 0);
    a.tcp_recved(pcb, n);
    a.pbuf_free(p);
    if (n < 4 || memcmp(out + n - 4, "\r\n\r\n", 4) != 0)
        return ERR_OK; /* wrk sends a request in one segment: this is none */
    uint32_t len;
    const char *answer = web_answer(false, &len);
    need(a.tcp_write(pcb, answer, (u16_t)len, TCP_WRITE_FLAG_COPY) == ERR_OK, "the server cannot write");
    got++;
    return ERR_OK;
}

static err_t tun_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    const char *row = arg;
    (void)err;
    a.tcp_recv(pcb, row[1] == '5' ? tun_web_recv : tun_sink_recv);
    if (strcmp(row, "W4r") == 0) {
        a.tcp_sent(pcb, tun_source_sent);
        tun_source_sent(NULL, pcb, 0);
        a.tcp_output(pcb);
    }
    return ERR_OK;
}

static int tun_open(void)
{
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof r.ifr_name, TUN_NAME);
    need(fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0, "/dev/net/tun");
    return fd;
}

/* Packets until there are none; then it waits a little for some. */
static void tun_turn(void)
{
    static uint8_t packet[2048];
    static double timers;
    ssize_t n;
    for (int k = 0; k < 256 && (n = read(a.tun, packet, sizeof packet)) > 0; k++) {
        struct pbuf *p = a.pbuf_alloc(PBUF_RAW, (u16_t)n, PBUF_RAM);
        need(p != NULL, "no buffer");
        memcpy(p->payload, packet, (size_t)n);
        a.ip4_input(p, &a.nif);
    }
    if (world_clock() - timers >= 0.25) {
        timers = world_clock();
        a.timer();
    }
    if (n <= 0)
        poll(&(struct pollfd){.fd = a.tun, .events = POLLIN}, 1, 10);
}

static void over_tun(void *so, char *row, int core, double seconds)
{
    enum peer peer = row[1] == '5' ? PEER_WRK : row[2] == 'r' ? PEER_RECEIVES : PEER_SENDS;
    bool web = row[1] == '5';
    world_enter(core);
    a.tun = tun_open();
    end_init(&a, NULL, so, 1);
    world_up(TUN_NAME);
    struct tcp_pcb *l = a.tcp_new();
    need(a.tcp_bind(l, &a.ip, web ? 80 : 9) == ERR_OK, "bind");
    l = a.tcp_listen_with_backlog(l, BACKLOG);
    a.tcp_arg(l, row);
    a.tcp_accept(l, tun_accept);
    pid_t pid = world_peer(peer);
    for (double begin = world_clock(); world_clock() - begin < 0.2;)
        tun_turn();
    uint64_t before = got;
    double from = world_cpu(pid), began = world_clock(), used = 0;
    while (used < seconds && world_clock() - began < 10 * seconds) {
        for (int k = 0; k < 20; k++)
            tun_turn();
        used = world_cpu(pid) - from;
    }
    double did = (double)(got - before) / used;
    world_end_peer(pid);
    result(row, "", STACK, web ? "requests/cpu-s" : "Gbit/s", web ? did : did * 8e-9);
}

static void in_memory(int argc, char **argv, void *one, double seconds)
{
    static const uint32_t windows[] = {8, 64}, many[] = {1000, 10000};
    void *two = dlmopen(LM_ID_NEWLM, LIBRARY, RTLD_NOW);
    need(two != NULL, "liblwip.so.0 cannot be loaded twice");
    end_init(&a, &b, one, 1);
    end_init(&b, &a, two, 2);
    for (uint16_t k = 0; k < SERVERS; k++)
        listen_on(PORT_SERVE + k, serve_accept);
    listen_on(PORT_SINK, sink_accept);
    if (row_asked(argc, argv, "W2"))
        lives("W2", 1, seconds);
    if (row_asked(argc, argv, "W2c"))
        lives("W2c", 1000, seconds);
    for (int i = 0; i < 2 && row_asked(argc, argv, "W1"); i++)
        bulk(windows[i], seconds);
    if (row_asked(argc, argv, "W3"))
        sizes();
    for (int i = 0; i < 2 && row_asked(argc, argv, "W6"); i++)
        spoken_to(many[i], seconds);
}

int main(int argc, char **argv)
{
    static const char *const rows[] = {"W4", "W4r", "W5"};
    double seconds = argument(argc, argv, "--seconds", 1);
    int core = (int)argument(argc, argv, "--core", -1);
    void *one = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    need(one != NULL, "no liblwip.so.0 (Debian: liblwip0)");
    for (int i = 0; i < 3; i++) {
        if (!row_asked(argc, argv, rows[i]))
            continue;
        pid_t pid = fork(); /* a stack and a namespace for each */
        if (pid == 0) {
            over_tun(one, strdup(rows[i]), core, seconds);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    in_memory(argc, argv, one, seconds);
    return 0;
}
