/* packet.c - what packet.h says: copies of packets, and their checksums. */
#include "packet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SMALLEST = 2048, /* an Ethernet-sized packet and its record in half a page */
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    TCP_CHECKSUM = 16, /* offset in the header */
    UDP_CHECKSUM = 6,
};

/* Which size a packet of this length needs; PKT_SIZES = none is large enough. */
static uint32_t size_class(uint32_t len)
{
    uint32_t k = 0;
    if (len > LINK_MAX_FRAME)
        return PKT_SIZES;
    while (k < PKT_SIZES - 1 && len + sizeof(struct pkt) > (size_t)SMALLEST << k)
        k++;
    return k;
}

static uint32_t room_of(uint32_t k)
{
    return k < PKT_SIZES - 1 ? (uint32_t)((SMALLEST << k) - sizeof(struct pkt)) : LINK_MAX_FRAME;
}

uint32_t pkt_size(const struct pkt *p)
{
    return ((uint32_t)sizeof *p + p->room + 63) & ~63u;
}

bool pkt_pool_memory(struct pkt_pool *pool, uint64_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    pool->memory = p;
    pool->len = len;
    return true;
}

bool pkt_in_memory(const struct pkt_pool *pool, const struct pkt *p)
{
    return pool->memory != NULL && (uintptr_t)p - (uintptr_t)pool->memory < pool->len;
}

/* A new buffer: of the block while there is room, else of the heap. */
static struct pkt *pkt_new(struct pkt_pool *pool, uint32_t room)
{
    struct pkt fresh = {.room = room}, *p;
    if (pkt_size(&fresh) <= pool->len - pool->used) {
        p = (struct pkt *)(void *)(pool->memory + pool->used);
        pool->used += pkt_size(&fresh);
    } else {
        p = malloc(sizeof *p + room);
        pool->short_of = true;
    }
    if (p)
        p->room = room;
    return p;
}

struct pkt *pkt_take(struct pkt_pool *pool, uint32_t len)
{
    uint32_t k = size_class(len);
    if (k == PKT_SIZES)
        return NULL;
    struct pkt *p = pool->free[k];
    if (p)
        pool->free[k] = p->next;
    else
        p = pkt_new(pool, room_of(k));
    if (!p)
        return NULL;
    p->next = NULL;
    p->len = len;
    p->gso_size = 0;
    p->flags = 0;
    return p;
}

void pkt_give(struct pkt_pool *pool, struct pkt *p)
{
    struct pkt **list = &pool->free[size_class(p->room)];
    if (pool->memory && !pkt_in_memory(pool, p)) {
        free(p); /* a makeshift: the block is better */
        return;
    }
    p->next = *list;
    *list = p;
}

void pkt_give_all(struct pkt_pool *pool, struct pkt_queue *q)
{
    for (struct pkt *p; (p = pkt_pop(q)) != NULL;)
        pkt_give(pool, p);
}

void pkt_pool_end(struct pkt_pool *pool)
{
    for (uint32_t k = 0; k < PKT_SIZES; k++)
        for (struct pkt *p; (p = pool->free[k]) != NULL;) {
            pool->free[k] = p->next;
            if (!pkt_in_memory(pool, p))
                free(p);
        }
    if (pool->memory)
        munmap(pool->memory, pool->len);
    *pool = (struct pkt_pool){0};
}

void pkt_push(struct pkt_queue *q, struct pkt *p)
{
    p->next = NULL;
    if (q->tail)
        q->tail->next = p;
    else
        q->head = p;
    q->tail = p;
    q->count++;
    q->bytes += p->len;
}

struct pkt *pkt_pop(struct pkt_queue *q)
{
    struct pkt *p = q->head;
    if (!p)
        return NULL;
    q->head = p->next;
    if (!q->head)
        q->tail = NULL;
    q->count--;
    q->bytes -= p->len;
    return p;
}

void pkt_show(const struct pkt *p, tern_rx_packet *out)
{
    *out = (tern_rx_packet){.data = p->data, .len = p->len, .gso_size = p->gso_size, .flags = p->flags};
}

uint32_t transport_offset(const uint8_t *p, uint32_t len, uint8_t *proto)
{
    *proto = 0;
    if (len >= 40 && p[0] >> 4 == 6) {
        *proto = p[6];
        return *proto == PROTO_TCP || *proto == PROTO_UDP ? 40 : 0;
    }
    if (len < 20 || p[0] >> 4 != 4)
        return 0;
    uint32_t at = (p[0] & 15) * 4u;
    *proto = p[9];
    bool fragment = (load16(p + 6) & 0x3fff) != 0;
    return fragment || at < 20 || at >= len ? 0 : at;
}

/* RFC 1071, in the machine's own byte order: the sum's bytes come out in the order they have in the packet.
 * */
static uint64_t sum_words(uint64_t sum, const uint8_t *p, size_t n)
{
    uint64_t word;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        sum += word;
        sum += sum < word; /* the carry comes back in at the bottom */
    }
    word = 0;
    memcpy(&word, p, n);
    sum += word;
    return sum + (sum < word);
}

static uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* RFC 9293 3.1 and RFC 8200 8.1: both families add the addresses, the protocol and the length. */
static uint64_t sum_pseudo_header(const uint8_t *p, uint32_t transport_len)
{
    bool v6 = p[0] >> 4 == 6;
    uint8_t tail[8];
    store32(tail, transport_len);
    store32(tail + 4, v6 ? p[6] : p[9]);
    return sum_words(v6 ? sum_words(0, p + 8, 32) : sum_words(0, p + 12, 8), tail, 8);
}

void ip4_header_checksum(uint8_t *p)
{
    if (p[0] >> 4 != 4)
        return;
    store16(p + 10, 0);
    uint16_t sum = fold(sum_words(0, p, (p[0] & 15) * 4u));
    memcpy(p + 10, &sum, 2);
}

void transport_checksum(uint8_t *p, uint32_t len, uint32_t start, uint32_t offset)
{
    if (start + offset + 2 > len)
        return;
    store16(p + start + offset, 0);
    uint16_t sum = fold(sum_words(sum_pseudo_header(p, len - start), p + start, len - start));
    if (sum == 0 && offset == UDP_CHECKSUM)
        sum = 0xffff; /* RFC 768: zero means "no checksum" there */
    memcpy(p + start + offset, &sum, 2);
}

bool packet_checksums_ok(const uint8_t *p, uint32_t len)
{
    uint8_t proto;
    uint32_t start = transport_offset(p, len, &proto);
    if (p[0] >> 4 == 4 && fold(sum_words(0, p, (p[0] & 15) * 4u)) != 0)
        return false;
    if (start == 0 || (proto != PROTO_TCP && proto != PROTO_UDP))
        return true;
    return fold(sum_words(sum_pseudo_header(p, len - start), p + start, len - start)) == 0;
}

/* Length of all headers of a TCP packet, when they fit into tern_tx_packet.hdr; else 0. */
static uint32_t tcp_headers(const uint8_t *p, uint32_t len, uint32_t start)
{
    if (start == 0 || start + 20 > len)
        return 0;
    uint32_t end = start + (p[start + 12] >> 4) * 4u;
    return end >= start + 20 && end <= len && end <= TERN_TX_HDR ? end : 0;
}

void packet_from_rx(const tern_rx_packet *rx, tern_tx_packet *tx)
{
    uint8_t proto = 0;
    bool ethernet = (rx->flags & TERN_RX_ETHERNET) != 0;
    uint32_t front = rx->len > frame_header(ethernet) ? frame_header(ethernet) : 0;
    const uint8_t *ip = rx->data + front;
    uint32_t start = transport_offset(ip, rx->len - front, &proto);
    uint32_t hdr = proto == PROTO_TCP ? tcp_headers(ip, rx->len - front, start) : 0;
    hdr = hdr != 0 && hdr + front <= TERN_TX_HDR ? hdr + front : 0;
    bool vouched = (rx->flags & TERN_RX_CSUM_OK) != 0; /* then the field may hold anything */
    bool has_sum = hdr != 0 || (start != 0 && proto == PROTO_UDP);

    tx->link = rx->link;
    tx->flags = (uint8_t)((vouched && has_sum ? TERN_TX_CSUM : 0) | (ip[0] >> 4 == 6 ? TERN_TX_IP6 : 0) |
                          (ethernet ? TERN_TX_ETHERNET : 0));
    tx->hdr_len = (uint16_t)hdr;
    tx->gso_size = hdr ? rx->gso_size : 0;
    tx->csum_start = (uint16_t)(start + front);
    tx->csum_offset = proto == PROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM;
    tx->n_slices = 1;
    tx->len = rx->len;
    tx->not_before = 0;
    memcpy(tx->hdr, rx->data, hdr);
    tx->slices[0] = (tern_slice){rx->data + hdr, rx->len - hdr};
}
