/* tun_blind.c - the limits on a TUN device: sides that know nothing of TCP but what the kernel must see.
 *
 *     sink        answers the SYN, reads until there is nothing, and acknowledges once what it saw last
 *     source      answers the SYN, keeps a window of super-segments in flight that are always the same bytes
 *     responder   keeps nothing at all: each segment with data is answered with the same answer
 *
 * They do not verify, repeat, reorder, or time anything. A stack can come near to them and not beyond.
 */
#include "tun.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { VNET = sizeof(struct virtio_net_hdr), IP = 20, TCP = 20, MSS = 1460, SUPER = 44 * MSS };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { WINDOW = 1 << 20, SCALE = 8 };

enum { FLOWS = 64 };

/* One of the kernel's senders. */
struct flow {
    bool owed;           /* an acknowledgment */
    uint32_t next;       /* the byte expected next */
    uint8_t ip[IP + TCP]; /* headers of its last segment */
};

struct blind {
    int fd;
    bool copies, closes;
    uint64_t done;
    struct flow flows[FLOWS], *owed[FLOWS]; /* sink */
    uint32_t n_owed;
    uint32_t next;        /* source: the byte to be sent next */
    uint32_t una, edge;   /* source: acknowledged; right edge of the kernel's window */
    uint32_t scale;       /* source: of the kernel's window */
    uint8_t to[12];       /* addresses and ports of what we send, as they stand in the packet */
    uint32_t ack;         /* source: what we acknowledge */
    uint32_t len;         /* of the answer */
    const char *answer;
    uint8_t in[VNET + 65600], out[256];
    uint8_t copy[65600];
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t sum(const uint8_t *p, uint32_t n, uint32_t s)
{
    for (uint32_t i = 0; i < n; i += 2)
        s += (uint32_t)p[i] << 8 | p[i + 1];
    return s;
}

static uint32_t fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (s & 0xffff) + (s >> 16);
}

/* Headers of an answer to `in` (its IP header): addresses and ports exchanged. The kernel completes TCP's
 * checksum. Returns the length with the header before the packet. */
static uint32_t headers(uint8_t *out, const uint8_t *in, uint32_t seq, uint32_t ack, uint8_t flags,
                        uint32_t payload, uint32_t options)
{
    struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP, .csum_offset = 16};
    uint8_t *ip = out + VNET, *tcp = ip + IP;
    uint32_t tcp_len = TCP + options + payload;
    if (payload > MSS) {
        h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        h.gso_size = MSS;
        h.hdr_len = IP + TCP;
    }
    memcpy(out, &h, VNET);
    memset(ip, 0, IP + TCP);
    ip[0] = 0x45;
    put16(ip + 2, IP + tcp_len);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, in + 16, 4);
    memcpy(ip + 16, in + 12, 4);
    put16(ip + 10, ~fold(sum(ip, IP, 0)));
    memcpy(tcp, in + IP + 2, 2);
    memcpy(tcp + 2, in + IP, 2);
    put32(tcp + 4, seq);
    put32(tcp + 8, ack);
    tcp[12] = (uint8_t)((TCP + options) / 4 << 4);
    tcp[13] = flags;
    put16(tcp + 14, flags & SYN ? 65535 : WINDOW >> SCALE);
    put16(tcp + 16, fold(sum(ip + 12, 8, 6 + tcp_len)));
    return VNET + IP + TCP;
}

static void answer_syn(struct blind *b, const uint8_t *ip, uint32_t seq)
{
    static const uint8_t options[] = {2, 4, MSS >> 8, MSS & 255, 1, 3, 3, SCALE};
    uint32_t n = headers(b->out, ip, 0, seq + 1, SYN | ACK, 0, sizeof options);
    memcpy(b->out + n, options, sizeof options);
    if (write(b->fd, b->out, n + sizeof options) < 0)
        return;
}

static void send_flags(struct blind *b, const uint8_t *ip, uint32_t seq, uint32_t ack, uint8_t flags)
{
    uint32_t n = headers(b->out, ip, seq, ack, flags, 0, 0);
    if (write(b->fd, b->out, n) < 0)
        return;
}

/* --- sink ------------------------------------------------------------------------------------- */

/* Whether a packet is TCP over IPv4; where its payload begins, and its length. */
static bool tcp_of(const uint8_t *ip, ssize_t got, uint32_t *at, uint32_t *len)
{
    if (got < IP + TCP || ip[0] != 0x45 || ip[9] != 6)
        return false;
    *at = IP + (uint32_t)(ip[IP + 12] >> 4) * 4;
    *len = (uint32_t)got - *at;
    return true;
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 10);
}

static void sink_hears(struct blind *b, const uint8_t *ip, uint32_t at, uint32_t len)
{
    struct flow *f = &b->flows[(ip[IP] * 256 + ip[IP + 1]) / 2 % FLOWS]; /* by the port; they come in twos */
    uint32_t seq = get32(ip + IP + 4);
    if (ip[IP + 13] & SYN) {
        f->next = seq + 1;
        answer_syn(b, ip, seq);
    }
    if (len == 0)
        return;
    if (b->copies)
        memcpy(b->copy, ip + at, len);
    if (seq == f->next) {
        f->next += len;
        b->done += len;
    }
    if (!f->owed) {
        f->owed = true;
        memcpy(f->ip, ip, sizeof f->ip);
        b->owed[b->n_owed++] = f;
    }
}

static void sink_turn(void *self)
{
    struct blind *b = self;
    const uint8_t *ip = b->in + VNET;
    uint32_t at, len;
    wait_for(b->fd);
    for (ssize_t got; (got = read(b->fd, b->in, sizeof b->in)) > 0;)
        if (tcp_of(ip, got - VNET, &at, &len))
            sink_hears(b, ip, at, len);
    while (b->n_owed > 0) {
        struct flow *f = b->owed[--b->n_owed];
        f->owed = false;
        send_flags(b, f->ip, 1, f->next, ACK);
    }
}

/* --- source ----------------------------------------------------------------------------------- */

static void source_hears(struct blind *b, const uint8_t *ip, uint32_t at)
{
    const uint8_t *tcp = ip + IP;
    if (tcp[13] & SYN) {
        b->next = b->una = 1;
        b->edge = 1;
        b->scale = 0;
        for (uint32_t i = TCP; i + 2 < at - IP && tcp[i] != 0; i += tcp[i] == 1 ? 1 : tcp[i + 1])
            if (tcp[i] == 3)
                b->scale = tcp[i + 2];
        memcpy(b->to, ip + 12, 8);
        memcpy(b->to + 8, tcp, 4);
        b->ack = get32(tcp + 4) + 1;
        answer_syn(b, ip, b->ack - 1);
        return;
    }
    b->done += get32(tcp + 8) - b->una;
    b->una = get32(tcp + 8);
    b->edge = b->una + ((uint32_t)(tcp[14] << 8 | tcp[15]) << b->scale);
}

static void source_sends(struct blind *b)
{
    uint8_t ip[IP + TCP];
    memcpy(ip + 12, b->to, 12);
    while ((int32_t)(b->edge - b->next) >= SUPER && b->next - b->una < WINDOW) {
        uint32_t n = headers(b->out, ip, b->next, b->ack, ACK, SUPER, 0);
        struct iovec iov[2] = {{b->out, n}, {b->copy, SUPER}};
        if (writev(b->fd, iov, 2) < 0)
            break;
        b->next += SUPER;
    }
}

static void source_turn(void *self)
{
    struct blind *b = self;
    const uint8_t *ip = b->in + VNET;
    uint32_t at, len;
    wait_for(b->fd);
    for (ssize_t got; (got = read(b->fd, b->in, sizeof b->in)) > 0;)
        if (tcp_of(ip, got - VNET, &at, &len))
            source_hears(b, ip, at);
    source_sends(b);
}

/* --- responder -------------------------------------------------------------------------------- */

static void respond(struct blind *b, const uint8_t *ip, uint32_t len)
{
    uint32_t seq = get32(ip + IP + 4), ack = get32(ip + IP + 8);
    uint8_t flags = ip[IP + 13];
    if (flags & SYN) {
        answer_syn(b, ip, seq);
    } else if (len > 0) {
        uint8_t last = b->closes ? FIN : 0;
        uint32_t n = headers(b->out, ip, ack, seq + len, (uint8_t)(PSH | ACK | last), b->len, 0);
        memcpy(b->out + n, b->answer, b->len);
        if (write(b->fd, b->out, n + b->len) > 0)
            b->done++;
    } else if (flags & FIN) {
        send_flags(b, ip, ack, seq + 1, b->closes ? ACK : FIN | ACK);
    }
}

static void responder_turn(void *self)
{
    struct blind *b = self;
    const uint8_t *ip = b->in + VNET;
    uint32_t at, len;
    wait_for(b->fd);
    for (ssize_t got; (got = read(b->fd, b->in, sizeof b->in)) > 0;)
        if (tcp_of(ip, got - VNET, &at, &len))
            respond(b, ip, len);
}

/* --- making them ------------------------------------------------------------------------------ */

static void *make(const char *device, bool flag)
{
    struct blind *b = calloc(1, sizeof *b);
    b->fd = world_tun(device, false);
    b->copies = b->closes = flag;
    b->answer = web_answer(flag, &b->len);
    return b;
}

static void *make_plain(const char *device) { return make(device, false); }

static void *make_queue(const char *device)
{
    struct blind *b = calloc(1, sizeof *b);
    b->fd = world_tun(device, true);
    return b;
}

static void *make_flagged(const char *device) { return make(device, true); }

static uint64_t done(const void *self) { return ((const struct blind *)self)->done; }

static void end(void *self)
{
    struct blind *b = self;
    close(b->fd);
    free(b);
}

const struct side blind_sink = {"limit", make_plain, sink_turn, done, end};
const struct side blind_queue = {"limit", make_queue, sink_turn, done, end};
const struct side blind_sink_copy = {"limit-copy", make_flagged, sink_turn, done, end};
const struct side blind_source = {"limit", make_plain, source_turn, done, end};
const struct side responder = {"limit", make_plain, responder_turn, done, end};
const struct side responder_close = {"limit", make_flagged, responder_turn, done, end};
