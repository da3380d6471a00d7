/* net.c - a stack on a TUN device or a network card for the commands that need one, and the wait for whatever
 * comes next. */
#include "net.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd.h"

const char net_help[] =
    "      --tun NAME       the TUN device (made when missing; default tern0, or $TERN_TUN)\n"
    "      --addr CIDR      an address of tern's own, such as 192.0.2.1/24 or 2001:db8::1/64, several times\n"
    "                       if need be (or --addr6); the kernel's side has another one of that prefix\n"
    "                       (default 192.0.2.1/24, or $TERN_ADDR)\n"
    "      --packet NAME    instead of --tun: share this network card with the kernel (AF_PACKET)\n"
    "      --xdp NAME       or take it over (AF_XDP, its first queue). With either, --addr auto is IPv6 as\n"
    "                       the routers say;\n"
    "      --gateway IP     the way to other networks, one for IPv4 and one for IPv6 at most;\n"
    "      --no-dad         do not ask first whether other hosts have the addresses\n"
    "      --plain          do without segmentation and checksum offload\n"
    "      --impair SPEC    a bad path, both ways (--impair-tx, --impair-rx: one way): delay=1ms,\n"
    "                       jitter=1ms,rate=100mbit,queue=256k,loss=2%,dup=1%,corrupt=1%,reorder=5%,\n"
    "                       gap=3-10,ce=1%,seed=7\n"
    "      --trace FILE     write what happens to FILE, one JSON object a line\n"
    "      --ladder         draw each connection when it is over\n"
    "      --pcap FILE      write every packet to FILE (pcapng, for Wireshark), with what tern decided, and\n"
    "                       why, as its comment; - is standard output\n"
    "      --pcap-size SIZE begin another file before one is larger (10M), --pcap-files N: keep N (10)\n"
    "      --pcap-snap N    keep the first N bytes of each packet only\n";

static int add_addr(net_options *o, const char *text)
{
    if (strcmp(text, "auto") == 0) {
        o->autoconf = true;
        return 0;
    }
    if (o->n_addrs == NET_ADDRS)
        return cmd_cannot(o->command, "at most %d addresses; leave out --addr %s", NET_ADDRS, text);
    net_addr *a = &o->addrs[o->n_addrs];
    if (tern_cidr_parse(text, &a->ip, &a->prefix_len) != 0)
        return cmd_cannot(o->command, "'%s' is no address; give one such as 192.0.2.1/24 or 2001:db8::1/64",
                          text);
    o->n_addrs++;
    return 0;
}

static int set_gateway(net_options *o, const char *text)
{
    int most = sizeof o->gateways / sizeof o->gateways[0];
    if (o->n_gateways == most)
        return cmd_cannot(o->command, "at most %d gateways; leave out --gateway %s", most, text);
    if (tern_ip_parse(text, &o->gateways[o->n_gateways]) != 0)
        return cmd_cannot(o->command, "'%s' is no address of a gateway", text);
    o->n_gateways++;
    return 0;
}

static int set_device(net_options *o, const char *name, enum net_kind kind)
{
    if (o->tun != NULL && o->kind != kind)
        return cmd_cannot(o->command, "one device; leave out one of --tun, --packet and --xdp");
    o->tun = name;
    o->kind = kind;
    return 0;
}

static int set_impair(net_options *o, const char *spec, tern_impair_config *tx, tern_impair_config *rx)
{
    char err[160];
    tern_impair_config c;
    if (impair_parse(spec, &c, err) != NULL)
        return cmd_cannot(o->command, "%s", err);
    if (tx != NULL) {
        *tx = c;
        o->impaired_tx = true;
    }
    if (rx != NULL) {
        *rx = c;
        o->impaired_rx = true;
    }
    return 0;
}

int net_option(net_options *o, int option, const char *value)
{
    switch (option) {
    case NET_TUN: return set_device(o, value, NET_IS_TUN);
    case NET_PACKET: return set_device(o, value, NET_IS_PACKET);
    case NET_XDP: return set_device(o, value, NET_IS_XDP);
    case NET_GATEWAY: return set_gateway(o, value);
    case NET_NO_DAD: o->no_dad = true; break;
    case NET_ADDR: return add_addr(o, value);
    case NET_PLAIN: o->plain = true; break;
    case NET_IMPAIR: return set_impair(o, value, &o->impair_tx, &o->impair_rx);
    case NET_IMPAIR_TX: return set_impair(o, value, &o->impair_tx, NULL);
    case NET_IMPAIR_RX: return set_impair(o, value, NULL, &o->impair_rx);
    case NET_TRACE: o->trace = value; break;
    case NET_LADDER: o->ladder = true; break;
    case NET_PCAP:
    case NET_PCAP_SIZE:
    case NET_PCAP_FILES:
    case NET_PCAP_SNAP: return net_pcap_option(o, option, value);
    }
    return 0;
}

static const char *tun_name(const net_options *o)
{
    const char *name = o->tun != NULL ? o->tun : getenv("TERN_TUN");
    return name != NULL && name[0] != '\0' ? name : "tern0";
}

/* --- the kernel's side ------------------------------------------------------------------------ */

static bool same_prefix(const tern_ip *a, const tern_ip *b, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(a->b, b->b, (size_t)whole) != 0)
        return false;
    return rest == 0 || (a->b[whole] ^ b->b[whole]) >> (8 - rest) == 0;
}

static int prefix_bits(const net_addr *a) { return a->prefix_len + (tern_ip_is4(&a->ip) ? 96 : 0); }

static bool ip_of(const struct sockaddr *sa, tern_ip *out)
{
    if (sa != NULL && sa->sa_family == AF_INET) {
        *out = tern_ip4(0, 0, 0, 0);
        memcpy(out->b + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return true;
    }
    if (sa != NULL && sa->sa_family == AF_INET6) {
        memcpy(out->b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return true;
    }
    return false;
}

/* Whether the kernel has another address of this prefix on the device, and the device is up. */
static bool kernel_ready(const char *tun, const net_addr *a)
{
    struct ifaddrs *all = NULL;
    bool ready = false;
    if (getifaddrs(&all) != 0)
        return true; /* cannot be known: then no advice either */
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        tern_ip ip;
        if (strcmp(i->ifa_name, tun) == 0 && (i->ifa_flags & IFF_UP) && ip_of(i->ifa_addr, &ip) &&
            same_prefix(&ip, &a->ip, prefix_bits(a)) && memcmp(&ip, &a->ip, sizeof ip) != 0)
            ready = true;
    }
    freeifaddrs(all);
    return ready;
}

/* Say the commands that give the kernel its side of the device, when it has none yet. */
static void hint(const net_options *o, const char *tun, const net_addr *addrs, int n)
{
    bool said = false;
    for (int i = 0; i < n; i++) {
        char text[46];
        if (kernel_ready(tun, &addrs[i]))
            continue;
        if (!said)
            fprintf(stderr, "tern %s: the kernel's side of %s is not set up yet; as root:\n", o->command,
                    tun);
        said = true;
        tern_ip peer = addrs[i].ip;
        peer.b[15] ^= peer.b[15] == 1 || peer.b[15] == 2 ? 3 : 1;
        fprintf(stderr, "    ip addr add %s/%d dev %s%s\n", tern_ip_text(&peer, text), addrs[i].prefix_len,
                tun, tern_ip_is4(&peer) ? "" : " nodad");
    }
    if (said)
        fprintf(stderr, "    ip link set %s up\n", tun);
}

/* --- the stack -------------------------------------------------------------------------------- */

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static tern_ip any_like(const tern_ip *ip)
{
    static const tern_ip any6;
    return tern_ip_is4(ip) ? tern_ip4(0, 0, 0, 0) : any6;
}

static int add_gateways(net *n, const net_options *o, int link)
{
    for (int i = 0; i < o->n_gateways; i++) {
        char text[46];
        tern_ip any = any_like(&o->gateways[i]);
        int r = tern_route_add_via(n->stack, link, &any, 0, &o->gateways[i]);
        if (r != 0)
            return cmd_cannot(o->command, "%s cannot be a gateway (%s)", tern_ip_text(&o->gateways[i], text),
                              strerror(-r));
    }
    return 0;
}

/* Every address; behind a TUN device everything else by the same way, since the kernel routes on. */
static int add_addrs(net *n, const net_options *o, int link, const net_addr *addrs, int count)
{
    for (int i = 0; i < count; i++) {
        char text[46];
        int r = tern_addr_add(n->stack, link, &addrs[i].ip, addrs[i].prefix_len);
        if (r != 0 && r != -TERN_EEXIST)
            return cmd_cannot(o->command, "%s/%d cannot be an address of a host (%s)",
                              tern_ip_text(&addrs[i].ip, text), addrs[i].prefix_len, strerror(-r));
        tern_ip any = any_like(&addrs[i].ip);
        if (o->kind == NET_IS_TUN)
            tern_route_add(n->stack, link, &any, 0);
    }
    return add_gateways(n, o, link);
}

/* Put the bad path before a link, if one was asked for. 0, or CMD_CANNOT, and the link is closed. */
static int impair(const net_options *o, tern_link **link)
{
    if (!o->impaired_tx && !o->impaired_rx)
        return 0;
    if (tern_link_impair(link, *link, o->impaired_tx ? &o->impair_tx : NULL,
                         o->impaired_rx ? &o->impair_rx : NULL) == 0)
        return 0;
    tern_link_close(*link);
    return cmd_cannot(o->command, "not enough memory for --impair");
}

static int open_device(const net_options *o, const char *name, tern_link **link, char *err, size_t len)
{
    char how[16];
    int r;
    if (o->kind == NET_IS_TUN)
        return tern_link_tun(link, name, o->plain, err, len);
    if (o->kind == NET_IS_PACKET)
        r = tern_link_packet(link, name, o->plain, err, len);
    else if ((r = tern_link_xdp(link, name, how, err, len)) == 0 && !o->silent)
        fprintf(stderr, "tern %s: AF_XDP on %s, %s mode\n", o->command, name, how);
    if (r == 0) {
        (*link)->info.no_dad = o->no_dad;
        (*link)->info.autoconf = o->autoconf;
    }
    return r;
}

static int open_link(net *n, const net_options *o, const char *tun)
{
    char err[256];
    tern_link *link = o->queue;
    if (link == NULL && open_device(o, tun, &link, err, sizeof err) != 0)
        return -cmd_cannot(o->command, "%s", err);
    if (impair(o, &link) != 0)
        return -CMD_CANNOT;
    int id = tern_host_attach(n->host, link);
    return id > 0 ? id : -cmd_cannot(o->command, "the device %s cannot be used (%s)", tun, strerror(-id));
}

/* The addresses given, or the one of the environment, or the default. */
static int chosen_addrs(net_options *o)
{
    const char *text = getenv("TERN_ADDR");
    if (o->kind == NET_IS_TUN && (o->autoconf || o->no_dad || o->n_gateways > 0))
        return cmd_cannot(o->command, "--addr auto, --gateway and --no-dad are for --packet and --xdp");
    if (o->n_addrs > 0 || o->autoconf)
        return 0;
    return add_addr(o, text != NULL && text[0] != '\0' ? text : "192.0.2.1/24");
}

static const char *host_name(const net_options *o) { return o->name != NULL ? o->name : o->command; }

static tern_host_config host_config(const net_options *o)
{
    tern_host_config cfg = {.name = host_name(o)};
    bool traced = o->trace != NULL || o->ladder || o->pcap.file != NULL;
    cfg.trace_records = traced ? 1u << 16 : 0;
    cfg.stack.page_size = o->page;
    cfg.stack.send_buffer = o->buffer;
    cfg.stack.recv_buffer = o->buffer;
    return cfg;
}

/* There is a host: what watches it. */
static int watch_host(net *n, const net_options *o)
{
    char err[256];
    n->stack = tern_host_stack(n->host);
    const char *wrong = net_trace_open(n, o, err);
    return wrong == NULL ? net_pcap_open(n, o) : cmd_cannot(o->command, "%s", wrong);
}

static int open_host(net *n, const net_options *o)
{
    char err[256];
    tern_host_config cfg = host_config(o);
    if (tern_host_create(&n->host, &cfg, err, sizeof err) != 0)
        return cmd_cannot(o->command, "%s", err);
    return watch_host(n, o);
}

/* --- addresses on Ethernet --------------------------------------------------------------------- */

/* How far they are: asked for, usable beyond the link, taken by others (`taken`: which). */
struct progress_of_addrs {
    int tentative, wide;
    const tern_addr_entry *taken;
};

static struct progress_of_addrs look_at(const tern_addr_entry *all, int n)
{
    struct progress_of_addrs p = {0};
    for (int i = 0; i < n; i++) {
        bool local = all[i].ip.b[0] == 0xfe && (all[i].ip.b[1] & 0xc0) == 0x80;
        p.tentative += all[i].state == TERN_ADDR_TENTATIVE;
        p.wide += all[i].state == TERN_ADDR_USABLE && !local;
        if (all[i].state == TERN_ADDR_DUPLICATE && !all[i].learned)
            p.taken = &all[i];
    }
    return p;
}

/* Until other hosts have been asked whether they have the addresses; with --addr auto, until a router has
 * given one, 12 s at most. */
static int await_addrs(net *n, const net_options *o)
{
    enum { PATIENCE_US = 12000000, MOST = 64 };
    uint64_t until = tern_host_now() + PATIENCE_US;
    tern_addr_entry all[MOST];
    char text[46];
    for (bool said = false;;) {
        int count = tern_addr_list(n->stack, all, MOST);
        struct progress_of_addrs p = look_at(all, count);
        if (p.taken != NULL)
            return cmd_cannot(o->command, "another host on %s has the address %s already: choose another one",
                              o->tun, tern_ip_text(&p.taken->ip, text));
        if (p.tentative == 0 && p.wide > 0)
            return 0;
        if (tern_host_now() > until)
            return p.wide > 0 ? 0
                              : cmd_cannot(o->command,
                                           "no router on %s has given an address in 12 s: give one "
                                           "with --addr",
                                           o->tun);
        if (!said)
            fprintf(stderr, "tern %s: asking on %s for %s (some seconds)\n", o->command, o->tun,
                    o->autoconf ? "routers and addresses" : "other hosts that may have the address");
        said = true;
        if (net_turn(n, -1, 0, 100) & (NET_SIGNAL | NET_LOST))
            return cmd_cannot(o->command, "ended before %s was ready", o->tun);
    }
}

int net_open(net *n, const net_options *options)
{
    net_options o = *options;
    *n = (net){.signals = open_signals()};
    if (chosen_addrs(&o) != 0)
        return CMD_CANNOT;
    int r = open_host(n, &o);
    if (r == 0) {
        int link = open_link(n, &o, tun_name(&o));
        r = link < 0 ? -link : add_addrs(n, &o, link, o.addrs, o.n_addrs);
    }
    if (r == 0 && o.kind != NET_IS_TUN)
        r = await_addrs(n, &o);
    if (r != 0) {
        net_close(n);
        return r;
    }
    if (!o.silent && o.kind == NET_IS_TUN)
        hint(&o, tun_name(&o), o.addrs, o.n_addrs);
    return 0;
}

int net_queues(const net_options *o, int n, tern_link **out)
{
    char err[256];
    if (o->kind != NET_IS_TUN)
        return cmd_cannot(o->command, "several queues are for TUN devices; leave out --queues");
    if (tern_link_tun_queues(out, n, tun_name(o), o->plain, err, sizeof err) != 0)
        return cmd_cannot(o->command, "%s", err);
    return 0;
}

/* The devices of the old process. Returns the first one's id, or CMD_CANNOT * -1. */
static int adopt_links(net *n, const net_options *o)
{
    char err[256];
    int first = 0;
    for (int id = 1; id < NET_LINK_IDS; id++) {
        tern_link *link;
        int fd = tern_host_link_fd(n->host, id);
        if (fd < 0)
            continue;
        if (tern_link_tun_fd(&link, fd, err, sizeof err) != 0)
            return -cmd_cannot(o->command, "%s", err);
        if (impair(o, &link) != 0)
            return -CMD_CANNOT;
        int r = tern_host_adopt(n->host, id, link);
        if (r != 0)
            return -cmd_cannot(o->command, "the device of the old process cannot be used (%s)", strerror(-r));
        first = first == 0 ? id : first;
    }
    return first > 0 ? first : -cmd_cannot(o->command, "the old process has no device");
}

int net_take_over(net *n, const net_options *o, int pid, tern_luggage *luggage)
{
    char err[256];
    tern_host_config cfg = host_config(o);
    *n = (net){.signals = open_signals()};
    int r = 0, link = 0;
    if (tern_host_take_over(&n->host, &cfg, host_name(o), pid, luggage, err, sizeof err) != 0)
        r = cmd_cannot(o->command, "%s", err);
    if (r == 0)
        r = watch_host(n, o);
    if (r == 0) {
        link = adopt_links(n, o);
        r = link < 0 ? -link : add_addrs(n, o, link, o->addrs, o->n_addrs);
    }
    if (r != 0)
        net_close(n);
    return r;
}

int net_own(net *n, const net_options *o)
{
    char err[256];
    return tern_host_own(n->host, err, sizeof err) == 0 ? 0 : cmd_cannot(o->command, "%s", err);
}

void net_close(net *n)
{
    if (n->host != NULL) {
        tern_host_turn(n->host); /* so that the trace has its end */
        tern_host_destroy(n->host);
    }
    net_trace_close(n);
    if (n->signals >= 0)
        close(n->signals);
    *n = (net){.signals = -1};
}

int net_turn_fds(net *n, struct pollfd *fds, int n_fds, int timeout_ms)
{
    struct pollfd all[8] = {{.fd = tern_host_fd(n->host), .events = POLLIN},
                            {.fd = n->signals, .events = POLLIN}};
    int result = 0;
    for (int i = 0; i < n_fds; i++) {
        fds[i].revents = 0;
        all[2 + i] = fds[i];
    }
    bool more = tern_host_more(n->host); /* one acknowledgment for all that is there */
    if (!more)
        tern_host_flush(n->host);
    if (!more && poll(all, (nfds_t)n_fds + 2, timeout_ms) > 0) {
        struct signalfd_siginfo info;
        if ((all[1].revents & POLLIN) && read(n->signals, &info, sizeof info) > 0)
            result |= NET_SIGNAL;
        for (int i = 0; i < n_fds; i++)
            result |= (fds[i].revents = all[2 + i].revents) != 0 ? NET_FD : 0;
    }
    result |= tern_host_receive(n->host) < 0 ? NET_LOST : 0; /* the next call flushes */
    net_pcap_look(n);
    return result;
}

int net_turn(net *n, int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    return net_turn_fds(n, &one, 1, timeout_ms);
}

void net_drain(net *n, int at_most_ms)
{
    tern_live live;
    uint64_t until = tern_host_now() + (uint64_t)at_most_ms * 1000;
    do
        tern_get_live(n->stack, &live);
    while (live.tcbs > 0 && tern_host_now() < until && !(net_turn(n, -1, 0, 20) & (NET_SIGNAL | NET_LOST)));
}

/* --- names ------------------------------------------------------------------------------------ */

bool net_has_family(const net_options *o, const tern_ip *ip)
{
    bool v4 = tern_ip_is4(ip);
    if (o->autoconf && !v4)
        return true;
    for (int i = 0; i < o->n_addrs; i++)
        if (tern_ip_is4(&o->addrs[i].ip) == v4)
            return true;
    return false;
}

uint16_t net_port(const char *text)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && v <= 65535 ? (uint16_t)v : 0;
}

/* "fe80::2%tern0" to "fe80::2" and the link's id; the zone is tern's own, by number or by the device's name.
 * Without '%' `plain` stays empty and the zone is 0. */
static int split_zone(const net_options *o, const char *name, char plain[64])
{
    const char *percent = strchr(name, '%');
    plain[0] = '\0';
    if (percent == NULL)
        return 0;
    snprintf(plain, 64, "%.*s", (int)(percent - name), name);
    if (strcmp(percent + 1, tun_name(o)) == 0 || strcmp(percent + 1, "1") == 0)
        return 1; /* the only link there is */
    return -cmd_cannot(o->command, "tern has no link %s here; leave out the zone, or say %%%s", percent + 1,
                       tun_name(o));
}

int net_resolve(const net_options *options, const char *name, const char *port, tern_endpoint *out, int max)
{
    net_options o = *options;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int n = 0;
    if (chosen_addrs(&o) != 0)
        return -CMD_CANNOT;
    char plain[64];
    int zone = split_zone(&o, name, plain);
    if (zone < 0)
        return zone;
    int r = getaddrinfo(plain[0] != '\0' ? plain : name, port, &hints, &list);
    if (r == EAI_SERVICE)
        return -cmd_cannot(o.command,
                           "'%s' is no port; give a number from 1 to 65535, or a name such as http", port);
    if (r != 0)
        return -cmd_cannot(o.command, "the name %s cannot be resolved (%s)", name, gai_strerror(r));
    for (struct addrinfo *a = list; a != NULL && n < max; a = a->ai_next) {
        tern_endpoint e = {.port = ntohs(((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_port)};
        e.zone = (uint16_t)zone;
        if (ip_of(a->ai_addr, &e.ip) && net_has_family(&o, &e.ip))
            out[n++] = e;
    }
    freeaddrinfo(list);
    if (n == 0)
        return -cmd_cannot(
            o.command, "%s has no address of a family that tern has here; add --addr for the other", name);
    return n;
}

const char *net_endpoint_text(const tern_endpoint *e, char buf[64])
{
    char text[96];
    snprintf(buf, 64, "%s", tern_endpoint_text(e, NULL, text));
    return buf;
}
