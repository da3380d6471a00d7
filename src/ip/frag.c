/* frag.c - reassembly of fragmented datagrams.
 *
 * The bytes of a datagram are kept in the order in which they came, in a queue of pages, so that memory is
 * taken for what has come and not for what a piece at offset 65000 claims. Beside the queue stands the list
 * of pieces (RFC 815 keeps the holes instead: the complement, and no easier to bound). Since no two pieces
 * may overlap, the datagram is whole when the bytes that came are as many as it has.
 *
 *   q        | piece 2 | headers | piece 0 | piece 1 |       in order of arrival
 *   whole    | headers | piece 0 | piece 1 | piece 2 |       in order of offsets
 *
 * Then it is put together in one run of pages, `whole`, which is parsed like any packet. There is one such
 * run, made when it is first needed and kept, because a run of neighbouring pages is hard to come by in an
 * arena that has lived for long.
 *
 * Invariants: (1) pieces of a datagram are not empty, do not overlap and end at `high` at most; `got` is the
 * sum of their lengths; (2) with total known, high <= total; (3) a refused datagram has an empty queue; (4)
 * all queues together hold 4 times as many pages as the largest datagram needs (288 KiB with pages of 4096)
 * at most, those of one source a quarter of it; (5) nothing stays longer than FRAG_TIMEOUT_US.
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

static void forget(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    chunkq_clear(a, &d->q);
    d->used = 0;
    t->live--;
}

/* Give a datagram up, and remember it so that its later fragments are refused too (RFC 5722 4). */
static enum tern_cause refuse(struct arena *a, struct frag_datagram *d, enum tern_cause why)
{
    chunkq_clear(a, &d->q);
    d->refused = (uint16_t)why;
    return why;
}

/* Whether two addresses count as one source: a host may use all of its /64 of IPv6 (RFC 4291 2.5.1). */
static bool same_source(const tern_ip *a, const tern_ip *b)
{
    return ip_prefix_eq(a, b, tern_ip_is4(a) ? 32 : 64);
}

/* The datagram that has waited longest; of one source when src is given, and one with bytes when `full`. */
static struct frag_datagram *oldest(struct frag_table *t, const tern_ip *src, bool full,
                                    const struct frag_datagram *but)
{
    struct frag_datagram *found = NULL;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &t->d[i];
        if (!d->used || d == but || (full && d->q.len == 0) || (src != NULL && !same_source(src, &d->src)))
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

/* Pages that so many bytes take at most: 1/16 of the smallest page is a chunk's header. */
static uint32_t pages_for(const struct arena *a, uint32_t bytes)
{
    uint32_t holds = arena_page_size(a) / 16 * 15;
    return (bytes + holds - 1) / holds;
}

/* Pages of all datagrams but one, or of those of one source. */
static uint32_t pages_held(const struct arena *a, const struct frag_table *t, const tern_ip *src,
                           const struct frag_datagram *but)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &t->d[i];
        if (d->used && d != but && (src == NULL || same_source(src, &d->src)))
            n += pages_for(a, d->q.len);
    }
    return n;
}

/* Let d grow by n bytes within the limits, at the cost of others. One datagram alone always fits. */
static void make_room(struct arena *a, struct frag_table *t, const struct frag_datagram *d, uint32_t n)
{
    uint32_t share = pages_for(a, FRAG_HDR_MAX + DATA_MAX), wanted = pages_for(a, d->q.len + n);
    struct frag_datagram *victim;
    while (pages_held(a, t, &d->src, d) + wanted > share && (victim = oldest(t, &d->src, true, d)) != NULL)
        evict(a, t, victim);
    while (pages_held(a, t, NULL, d) + wanted > 4 * share && (victim = oldest(t, NULL, true, d)) != NULL)
        evict(a, t, victim);
}

/* The place for a whole datagram. It grows at least twofold, so that little is left behind. NULL: refused. */
static uint8_t *place_for_whole(struct arena *a, struct frag_table *t, uint32_t len)
{
    uint32_t page = arena_page_size(a), need = (len + page - 1) / page;
    if (need > t->whole_pages) {
        uint32_t most = (FRAG_HDR_MAX + DATA_MAX + page - 1) / page;
        uint32_t pages = min_u32(max_u32(need, 2 * t->whole_pages), most);
        ref_t r = arena_pages(a, pages, MEM_OOO);
        if (r == 0)
            return NULL;
        if (t->whole != 0)
            arena_pages_free(a, t->whole, t->whole_pages);
        t->whole = r;
        t->whole_pages = pages;
    }
    return at(a, t->whole);
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
    chunkq_init(&t->d[slot].q, 0);
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
    return ip->frag_hdr_len <= FRAG_HDR_MAX && (ip->version == 4 || headers_whole(ip));
}

static bool same_bytes(struct arena *a, const struct chunkq *q, uint32_t pos, const uint8_t *p, uint32_t n)
{
    while (n > 0) {
        tern_slice slices[8];
        uint32_t got;
        int count = chunkq_slices(a, NULL, q, pos, n, NULL, slices, (int)ARRAY_LEN(slices), &got);
        for (int i = 0; i < count; p += slices[i].len, i++)
            if (memcmp(slices[i].data, p, slices[i].len) != 0)
                return false;
        pos += got;
        n -= got;
    }
    return true;
}

/* Where the piece behind the one at `pos` stands in the queue: the headers follow the first one. */
static uint32_t behind(const struct frag_datagram *d, uint32_t pos, uint32_t len)
{
    pos += len;
    return d->hdr_len != 0 && pos == d->hdr_at ? pos + d->hdr_len : pos;
}

enum fit { FIT_NEW, FIT_KNOWN, FIT_OVERLAP };

/* How a piece lies to those that came before. Only the same bytes at the same place are a repetition. */
static enum fit fit_piece(struct arena *a, const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t start = ip->frag_off, end = start + ip->payload_len, pos = 0;
    for (uint32_t i = 0; i < d->n_pieces; pos = behind(d, pos, d->pieces[i++].len)) {
        const struct frag_piece *p = &d->pieces[i];
        if (end <= p->start || start >= (uint32_t)p->start + p->len)
            continue;
        if (start != p->start || ip->payload_len != p->len)
            return FIT_OVERLAP;
        return same_bytes(a, &d->q, pos, ip->payload, p->len) ? FIT_KNOWN : FIT_OVERLAP;
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

/* False: no memory. */
static bool keep_piece(struct arena *a, struct frag_datagram *d, const struct ip_hdr *ip,
                       const uint8_t *packet)
{
    if (chunkq_append(a, &d->q, ip->payload, ip->payload_len, MEM_OOO) != ip->payload_len)
        return false;
    d->pieces[d->n_pieces++] = (struct frag_piece){(uint16_t)ip->frag_off, (uint16_t)ip->payload_len};
    d->got += ip->payload_len;
    d->high = max_u32(d->high, ip->frag_off + ip->payload_len);
    d->ecn |= (uint8_t)(1u << (ip->tos & 3));
    if (ip->frag_off != 0)
        return true;
    d->hdr_at = d->q.len; /* RFC 8200 4.5: the headers are those of the first fragment */
    d->hdr_len = ip->frag_hdr_len;
    d->proto = ip->proto;
    return chunkq_append(a, &d->q, packet, d->hdr_len, MEM_OOO) == d->hdr_len;
}

/* RFC3168-5.3-bcd: one mark marks the whole; marked and not-ECT pieces together are nobody's honest
 * packet. */
static bool ecn_whole(const struct frag_datagram *d, uint8_t tos, uint8_t *ecn)
{
    bool marked = (d->ecn & 1u << ECN_CE) != 0;
    *ecn = marked ? ECN_CE : tos & 3;
    return !marked || (d->ecn & 1u << ECN_NOT) == 0;
}

static void put_together(struct arena *a, const struct frag_datagram *d, uint8_t *p)
{
    chunkq_copy(a, NULL, &d->q, d->hdr_at, p, d->hdr_len);
    uint32_t pos = 0;
    for (uint32_t i = 0; i < d->n_pieces; pos = behind(d, pos, d->pieces[i++].len))
        chunkq_copy(a, NULL, &d->q, pos, p + d->hdr_len + d->pieces[i].start, d->pieces[i].len);
}

/* All pieces are there. */
static enum tern_cause finish(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                              struct frag_packet *out)
{
    uint8_t *p = place_for_whole(a, t, d->hdr_len + d->total);
    if (p == NULL)
        return refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    put_together(a, d, p);
    struct ip_hdr whole;
    uint8_t tos = p[0] >> 4 == 4 ? p[1] : p[1] >> 4, ecn;
    if (!ecn_whole(d, tos, &ecn) || !ip_unfragment(p, d->hdr_len, d->proto, d->total, ecn) ||
        ip_parse(p, d->hdr_len + d->total, &whole) != TERN_CAUSE_NONE || whole.fragment)
        return refuse(a, d, TERN_C_FRAGMENT_MALFORMED);
    *out = (struct frag_packet){.data = p, .len = d->hdr_len + d->total};
    forget(a, t, d);
    return TERN_CAUSE_NONE;
}

/* A piece that belongs where it stands: keep it, and see whether it was the last. */
static enum tern_cause add_piece(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                                 const struct ip_hdr *ip, const uint8_t *packet, struct frag_packet *out)
{
    if (!end_fits(d, ip))
        return refuse(a, d, TERN_C_FRAGMENT_MALFORMED);
    if (d->n_pieces == FRAG_PIECES)
        return refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    make_room(a, t, d, ip->payload_len + (ip->frag_off == 0 ? ip->frag_hdr_len : 0));
    if (!keep_piece(a, d, ip, packet))
        return refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    if (!ip->more)
        d->total = d->high;
    return d->got == d->total ? finish(a, t, d, out) : TERN_CAUSE_NONE;
}

/* --- the verbs ---------------------------------------------------------------------------------- */

enum tern_cause frag_add(struct arena *a, struct frag_table *t, uint64_t now, const struct ip_hdr *ip,
                         const uint8_t *packet, uint8_t link, struct frag_packet *out)
{
    *out = (struct frag_packet){0};
    frag_expire(a, t, now);
    if (NEVER(!ip->fragment) || !piece_fine(ip))
        return TERN_C_FRAGMENT_MALFORMED;
    struct frag_datagram *d = find(t, ip, link);
    if (d == NULL)
        d = make(a, t, now, ip, link);
    if (d->refused)
        return (enum tern_cause)d->refused;
    switch (fit_piece(a, d, ip)) {
    case FIT_KNOWN: return TERN_CAUSE_NONE;
    case FIT_OVERLAP: return refuse(a, d, TERN_C_FRAGMENT_OVERLAP);
    default: return add_piece(a, t, d, ip, packet, out);
    }
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
    for (uint32_t i = 0; t->live != 0 && i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            next = min_u64(next, t->d[i].deadline);
    return next;
}

void frag_clear(struct arena *a, struct frag_table *t)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            forget(a, t, &t->d[i]);
    if (t->whole != 0)
        arena_pages_free(a, t->whole, t->whole_pages);
    t->whole = 0;
    t->whole_pages = 0;
}
