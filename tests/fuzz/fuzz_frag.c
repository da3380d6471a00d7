/* A script of fragments for the reassembly, 8 bytes each, against a model of what came.
 *
 *   bits 0..7    bit 0 IPv6, bit 1 more, bits 2..3 which bytes, bit 4 second link, bits 5..7 protocol or ECN
 *   byte 1       source, 2 identification, 3 and 4 offset / 8, 5 and 6 length, 7 time that passes
 *
 * Checked: the limits after each step; that a whole datagram consists of bytes of its own pieces, at their
 * places; that nothing is left when all is given up. */
#include "ip/frag.h"
#include "wire/ip_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA = 1 << 20 };

/* What a byte at an offset of a datagram is: it depends on all that names the datagram. */
static uint8_t byte_at(uint32_t name, uint32_t variant, uint32_t off)
{
    return (uint8_t)(off * 31 + (off >> 8) * 7 + name * 13 + (off % 64 == 63 ? variant : 0));
}

struct step {
    tern_ip src, dst;
    uint32_t name, variant, from, n;
    uint16_t id;
    uint8_t proto, tos, link;
    bool more, v6;
};

static struct step read_step(const uint8_t *p)
{
    struct step s = {.v6 = p[0] & 1, .more = (p[0] & 2) != 0};
    s.variant = p[0] >> 2 & 3;
    s.link = 1 + (p[0] >> 4 & 1);
    s.src = s.v6 ? (tern_ip){{0x20, 1, 0, 0, 0, 0, 0, p[1] >> 4, p[1]}} : tern_ip4(10, 0, 0, p[1]);
    s.dst = s.v6 ? (tern_ip){{0x20, 2}} : tern_ip4(10, 1, 1, 1);
    s.id = p[2];
    s.from = (uint32_t)(get16(p + 3) & 0x1fff) * 8;
    s.n = p[5] & 0x80 ? get16(p + 5) & 0x7fff : (uint32_t)p[6] & 0xf8;
    s.proto = p[0] & 0x20 ? PROTO_TCP : PROTO_UDP;
    s.tos = p[0] >> 6;
    s.name = (uint32_t)p[1] << 8 | p[2];
    return s;
}

static uint32_t write_step(uint8_t *p, const struct step *s)
{
    uint8_t proto = s->v6 ? PROTO_FRAGMENT : s->proto;
    uint32_t len = ip_emit(p, &s->src, &s->dst, proto, 64, s->tos, s->n + s->v6 * 8u, s->id);
    if (s->v6) {
        p[40] = s->proto, p[41] = 0;
        put16(p + 42, (uint16_t)(s->from | s->more));
        put32(p + 44, s->id);
        len += 8;
    } else {
        put16(p + 6, (uint16_t)(s->from / 8 | (uint32_t)s->more << 13));
        put16(p + 10, 0);
        put16(p + 10, csum_fold(csum_add(0, p, 20)));
    }
    for (uint32_t i = 0; i < s->n; i++)
        p[len + i] = byte_at(s->name, s->variant, s->from + i);
    return len + s->n;
}

static void check_limits(const struct arena *a, const struct frag_table *t, uint64_t now)
{
    uint32_t live = 0, bytes = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &t->d[i];
        live += d->used;
        ASSERT(!d->used || (d->deadline > now && d->n_pieces <= FRAG_PIECES));
        ASSERT(!d->refused || d->q.len == 0);
        bytes += d->used ? d->q.len : 0;
    }
    ASSERT(live == t->live && bytes <= 4 * (65535 + FRAG_HDR_MAX + arena_page_size(a)));
}

/* Each byte is the one that belongs there; every 64th may be of any of the four variants. */
static void check_whole(const struct frag_packet *whole, const struct step *s)
{
    struct ip_hdr ip;
    ASSERT(ip_parse(whole->data, whole->len, &ip) == TERN_CAUSE_NONE && !ip.fragment);
    ASSERT(ip_eq(&ip.src, &s->src) && ip_eq(&ip.dst, &s->dst) && ip.total_len == whole->len);
    for (uint32_t i = 0; i < ip.payload_len; i++) {
        uint8_t variant = (uint8_t)(ip.payload[i] - byte_at(s->name, 0, i));
        ASSERT(variant == 0 || (i % 64 == 63 && variant < 4));
    }
}

static void play(struct arena *a, struct frag_table *t, const uint8_t *script, size_t n)
{
    static uint8_t p[70000];
    uint64_t now = 1;
    for (; n >= 8; script += 8, n -= 8) {
        struct step s = read_step(script);
        struct frag_packet whole;
        struct ip_hdr ip;
        now += (uint64_t)(script[7] >> 4) * (FRAG_TIMEOUT_US / 8);
        ASSERT(ip_parse(p, write_step(p, &s), &ip) == TERN_CAUSE_NONE);
        if (!ip.fragment)
            continue;
        enum tern_cause cause = frag_add(a, t, now, &ip, p, s.link, &whole);
        ASSERT(cause == TERN_CAUSE_NONE || whole.data == NULL);
        if (whole.data != NULL)
            check_whole(&whole, &s);
        check_limits(a, t, now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) uint8_t block[ARENA];
    struct arena *a = (struct arena *)(void *)block;
    void *fixed;
    if (size < 1 || size > 8 * 200)
        return 0;
    ASSERT(arena_init(a, ARENA, 0, 512u << (data[0] & 3), sizeof(struct frag_table), &fixed));
    struct frag_table *t = fixed;
    uint32_t pages = a->pages_used - a->free_count;
    if (data[0] & 4)
        a->fail_after = 1 + (data[0] >> 3);
    play(a, t, data + 1, size - 1);
    ASSERT((frag_live(t) == 0) == (frag_next_deadline(t) == UINT64_MAX));
    frag_clear(a, t);
    ASSERT(frag_live(t) == 0 && a->pages_used - a->free_count == pages);
    return 0;
}
