/* frag.c - reassembly of fragmented datagrams.
 *
 * A piece is copied to its place in one contiguous buffer as it comes, so that the last one leaves a packet
 * that is parsed like any other. The buffer is a run of neighbouring pages that grows with the highest byte
 * seen, doubling until the end is known.
 *
 *   buf ─▶ |      FRAG_ROOM bytes      |          fragmentable part           |
 *          |........| first's headers  | piece |.......| piece | piece |.......|
 *                                                               high ─^      total ─^ (once it has come)
 *
 * Beside it stands the list of pieces (RFC 815 keeps the holes instead: the complement, and no easier to
 * bound). Since no two pieces may overlap, the datagram is whole when the bytes that came are as many as it
 * has.
 *
 * Invariants: (1) pieces of a datagram are not empty, do not overlap and end at `high` at most; `got` is the
 * sum of their lengths; (2) with total known, high <= total; (3) a refused datagram has no buffer; (4)
 * t->pages is the sum of `pages` and at most 4 times the pages of the largest datagram, of which one source
 * holds at most one quarter; (5) nothing stays longer than FRAG_TIMEOUT_US.
 *
 * Against attackers: overlaps end the datagram, and what follows of it is refused too (RFC 5722 4, for IPv4
 * as well: RFC 1858 4 shows why; RFC 791 would let the later piece win). Exact repetitions are the network's
 * doing and are let pass (RFC 8200 4.5). When a source has its share, or the table is full, the oldest
 * datagram gives way: refusing the new one would let 16 lost pieces lock the table for a minute. An atomic
 * fragment never comes here (RFC 6946 4): ip_parse calls it whole.
 *
 * Not done: ICMP "reassembly time exceeded" (a SHOULD of RFC 1122 3.3.2); senders learn nothing from it that
 * matters to TCP.
 */
#include "ip/frag.h"
#include "wire/ip_parts.h"

enum { DATA_MAX = 65535 };

/* --- memory ------------------------------------------------------------------------------------- */

static uint32_t pages_for(const struct arena *a, uint32_t data)
{
    uint32_t page = arena_page_size(a);
    return (FRAG_ROOM + data + page - 1) / page;
}

static void drop_buffer(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    if (d->pages != 0)
        arena_pages_free(a, d->buf, d->pages);
    t->pages -= d->pages;
    d->buf = 0;
    d->pages = 0;
}

static void forget(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    drop_buffer(a, t, d);
    d->used = 0;
    t->live--;
}

/* Give a datagram up, and remember it so that its later fragments are refused too (RFC 5722 4). */
static enum tern_cause refuse(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                              enum tern_cause why)
{
    drop_buffer(a, t, d);
    d->refused = (uint16_t)why;
    return why;
}

/* Whether two addresses count as one source: a host may use all of its /64 of IPv6 (RFC 4291 2.5.1). */
static bool same_source(const tern_ip *a, const tern_ip *b)
{
    return ip_prefix_eq(a, b, tern_ip_is4(a) ? 32 : 64);
}

/* The datagram that has waited longest; of one source when src is given, and one with a buffer when
 * `paged`. */
static struct frag_datagram *oldest(struct frag_table *t, const tern_ip *src, bool paged,
                                    const struct frag_datagram *but)
{
    struct frag_datagram *found = NULL;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &t->d[i];
        if (!d->used || d == but || (paged && d->pages == 0) || (src != NULL && !same_source(src, &d->src)))
            continue;
        if (found == NULL || d->deadline < found->deadline)
            found = d;
    }
    return found;
}

static void evict(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    t->evicted++;
    forget(a, t, d);
}

static uint32_t pages_of_source(const struct frag_table *t, const tern_ip *src)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used && same_source(src, &t->d[i].src))
            n += t->d[i].pages;
    return n;
}

/* Make `more` pages for d possible within the limits, at the cost of others. One datagram alone always
 * fits. */
static void make_room(struct arena *a, struct frag_table *t, const struct frag_datagram *d, uint32_t more)
{
    uint32_t share = pages_for(a, DATA_MAX);
    struct frag_datagram *victim;
    while (pages_of_source(t, &d->src) + more > share && (victim = oldest(t, &d->src, true, d)) != NULL)
        evict(a, t, victim);
    while (t->pages + more > 4 * share && (victim = oldest(t, NULL, true, d)) != NULL)
        evict(a, t, victim);
}

/* Let the buffer hold `end` bytes of data. */
static bool grow(struct arena *a, struct frag_table *t, struct frag_datagram *d, uint32_t end)
{
    uint32_t need = pages_for(a, d->total ? d->total : end);
    if (need <= d->pages)
        return true;
    if (d->total == 0)
        need = min_u32(max_u32(need, 2 * d->pages), pages_for(a, DATA_MAX));
    make_room(a, t, d, need - d->pages);
    ref_t buf = arena_pages(a, need, MEM_OOO);
    if (buf == 0)
        return false;
    if (d->pages != 0)
        memcpy(at(a, buf), at(a, d->buf), (size_t)d->pages << a->page_shift);
    drop_buffer(a, t, d);
    d->buf = buf;
    d->pages = need;
    t->pages += need;
    return true;
}

/* --- datagrams ---------------------------------------------------------------------------------- */

/* RFC 791 3.2: source, destination, protocol, identification. RFC 8200 4.5: the same without protocol. */
static struct frag_datagram *find(struct frag_table *t, const struct ip_hdr *ip, uint8_t link)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &t->d[i];
        bool same = d->used && d->id == ip->frag_id && d->link == link && ip_eq(&d->src, &ip->src) &&
                    ip_eq(&d->dst, &ip->dst);
        if (same && (ip->version == 6 || d->proto == ip->proto))
            return d;
    }
    return NULL;
}

static struct frag_datagram *make(struct arena *a, struct frag_table *t, uint64_t now,
                                  const struct ip_hdr *ip, uint8_t link)
{
    uint32_t n = 0, slot = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        n += t->d[i].used && same_source(&ip->src, &t->d[i].src);
    if (n >= FRAG_PER_SOURCE)
        evict(a, t, oldest(t, &ip->src, false, NULL));
    if (t->live == FRAG_DATAGRAMS)
        evict(a, t, oldest(t, NULL, false, NULL));
    while (t->d[slot].used)
        slot++;
    t->d[slot] = (struct frag_datagram){
        .deadline = now + FRAG_TIMEOUT_US,
        .src = ip->src,
        .dst = ip->dst,
        .id = ip->frag_id,
        .used = 1,
        .proto = ip->proto,
        .link = link,
    };
    t->live++;
    return &t->d[slot];
}

/* --- pieces ------------------------------------------------------------------------------------- */

/* RFC 8200 4.5: the first fragment holds all headers up to and with the upper layer's (RFC 7112 5). */
static bool headers_whole(const struct ip_hdr *ip)
{
    uint8_t proto = ip->proto;
    uint32_t at = 0;
    if (!ip6_skip_ext(ip->payload, ip->payload_len, &proto, &at))
        return false;
    uint32_t least = proto == PROTO_TCP ? 20 : proto == PROTO_UDP || proto == PROTO_ICMP6 ? 8 : 0;
    return ip->payload_len - at >= least;
}

/* What can be said of a fragment alone (RFC 791 3.2; RFC 8200 4.5). */
static bool piece_fine(const struct ip_hdr *ip)
{
    if (ip->payload_len == 0 || ip->frag_off + ip->payload_len > DATA_MAX)
        return false;
    if (ip->more && ip->payload_len % 8 != 0)
        return false;
    if (ip->frag_off != 0)
        return true;
    return ip->frag_hdr_len <= FRAG_ROOM && (ip->version == 4 || headers_whole(ip));
}

enum fit { FIT_NEW, FIT_KNOWN, FIT_OVERLAP };

/* How a piece lies to those that came before. Only the same bytes at the same place are a repetition. */
static enum fit fit_piece(struct arena *a, const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t start = ip->frag_off, end = start + ip->payload_len;
    for (uint32_t i = 0; i < d->n_pieces; i++) {
        const struct frag_piece *p = &d->pieces[i];
        if (end <= p->start || start >= (uint32_t)p->start + p->len)
            continue;
        if (start != p->start || ip->payload_len != p->len)
            return FIT_OVERLAP;
        const uint8_t *old = (const uint8_t *)at(a, d->buf) + FRAG_ROOM + start;
        return memcmp(old, ip->payload, p->len) == 0 ? FIT_KNOWN : FIT_OVERLAP;
    }
    return FIT_NEW;
}

/* Whether a piece agrees with what is known of the end. */
static bool end_fits(const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t end = ip->frag_off + ip->payload_len;
    if (!ip->more && (d->total != 0 || end < d->high))
        return false; /* a second end, or an end before other pieces */
    return d->total == 0 || end <= d->total;
}

static void keep_piece(struct arena *a, struct frag_datagram *d, const struct ip_hdr *ip,
                       const uint8_t *packet)
{
    uint8_t *data = (uint8_t *)at(a, d->buf) + FRAG_ROOM;
    memcpy(data + ip->frag_off, ip->payload, ip->payload_len);
    if (ip->frag_off == 0) { /* RFC 8200 4.5: the headers are those of the first fragment */
        memcpy(data - ip->frag_hdr_len, packet, ip->frag_hdr_len);
        d->hdr_len = ip->frag_hdr_len;
        d->proto = ip->proto;
    }
    d->pieces[d->n_pieces++] = (struct frag_piece){(uint16_t)ip->frag_off, (uint16_t)ip->payload_len};
    d->got += ip->payload_len;
    d->high = max_u32(d->high, ip->frag_off + ip->payload_len);
    d->ecn |= (uint8_t)(1u << (ip->tos & 3));
}

/* RFC 3168 5.3: one mark marks the whole; marked and not-ECT pieces together are nobody's honest packet. */
static bool ecn_whole(const struct frag_datagram *d, uint8_t tos, uint8_t *ecn)
{
    bool marked = (d->ecn & 1u << ECN_CE) != 0;
    *ecn = marked ? ECN_CE : tos & 3;
    return !marked || (d->ecn & 1u << ECN_NOT) == 0;
}

/* All pieces are there: hand over the buffer. */
static enum tern_cause finish(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                              struct frag_packet *out)
{
    uint8_t *hdr = (uint8_t *)at(a, d->buf) + FRAG_ROOM - d->hdr_len;
    uint32_t len = d->hdr_len + d->total;
    struct ip_hdr whole;
    uint8_t tos = hdr[0] >> 4 == 4 ? hdr[1] : (uint8_t)(hdr[1] >> 4), ecn;
    if (!ecn_whole(d, tos, &ecn) || !ip_unfragment(hdr, d->hdr_len, d->proto, d->total, ecn) ||
        ip_parse(hdr, len, &whole) != TERN_CAUSE_NONE || whole.fragment)
        return refuse(a, t, d, TERN_C_FRAGMENT_MALFORMED);
    *out = (struct frag_packet){.buf = d->buf, .pages = d->pages, .data = hdr, .len = len};
    t->pages -= d->pages;
    d->pages = 0;
    forget(a, t, d);
    return TERN_CAUSE_NONE;
}

/* A piece that belongs where it stands: keep it, and see whether it was the last. */
static enum tern_cause add_piece(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                                 const struct ip_hdr *ip, const uint8_t *packet, struct frag_packet *out)
{
    if (!end_fits(d, ip))
        return refuse(a, t, d, TERN_C_FRAGMENT_MALFORMED);
    if (d->n_pieces == FRAG_PIECES)
        return refuse(a, t, d, TERN_C_FRAGMENT_LIMIT);
    if (!ip->more)
        d->total = ip->frag_off + ip->payload_len;
    if (!grow(a, t, d, ip->frag_off + ip->payload_len))
        return refuse(a, t, d, TERN_C_FRAGMENT_LIMIT);
    keep_piece(a, d, ip, packet);
    return d->got == d->total ? finish(a, t, d, out) : TERN_CAUSE_NONE;
}

/* --- the verbs ---------------------------------------------------------------------------------- */

enum tern_cause frag_add(struct arena *a, struct frag_table *t, uint64_t now, const struct ip_hdr *ip,
                         const uint8_t *packet, uint8_t link, struct frag_packet *out)
{
    *out = (struct frag_packet){0};
    if (NEVER(!ip->fragment) || !piece_fine(ip))
        return TERN_C_FRAGMENT_MALFORMED;
    frag_expire(a, t, now);
    struct frag_datagram *d = find(t, ip, link);
    if (d == NULL)
        d = make(a, t, now, ip, link);
    if (d->refused)
        return (enum tern_cause)d->refused;
    switch (fit_piece(a, d, ip)) {
    case FIT_KNOWN: return TERN_CAUSE_NONE;
    case FIT_OVERLAP: return refuse(a, t, d, TERN_C_FRAGMENT_OVERLAP);
    default: return add_piece(a, t, d, ip, packet, out);
    }
}

void frag_packet_free(struct arena *a, struct frag_packet *p)
{
    if (p->buf != 0)
        arena_pages_free(a, p->buf, p->pages);
    *p = (struct frag_packet){0};
}

uint32_t frag_expire(struct arena *a, struct frag_table *t, uint64_t now)
{
    uint32_t n = 0;
    for (uint32_t i = 0; t->live != 0 && i < FRAG_DATAGRAMS; i++) {
        if (!t->d[i].used || t->d[i].deadline > now)
            continue;
        n += t->d[i].refused == 0;
        forget(a, t, &t->d[i]);
    }
    t->timeouts += n;
    return n;
}

uint64_t frag_next_deadline(const struct frag_table *t)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            next = min_u64(next, t->d[i].deadline);
    return next;
}

void frag_clear(struct arena *a, struct frag_table *t)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            forget(a, t, &t->d[i]);
}
