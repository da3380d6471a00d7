/* pcapng.c - see pcapng.h. Every block has the same frame, in the byte order of the machine that writes it:
 *
 *     type (4) | length of the block (4) | fixed fields | data, padded to 4 | options | length again (4)
 *     option: code (2) | length (2) | value, padded to 4;   the last one: code 0, length 0
 */
#include "host/pcapng.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    ORDER_MAGIC = 0x1a2b3c4d, /* tells the reader our byte order */
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,       /* IPv4 or IPv6 header first; its version field says which */
    END_OF_OPTIONS = 0,
    COMMENT = 1,
    SECTION_APPLICATION = 4,
    INTERFACE_NAME = 2,
    INTERFACE_DESCRIPTION = 3,
    INTERFACE_RESOLUTION = 9,
    PACKET_FLAGS = 2,
    PACKET_DROPCOUNT = 4,
    OPTION_MAX = 65532, /* a length has 16 bits; a multiple of 4 needs no thought about padding */
    MICROSECONDS = 6,   /* 10^-6 s */
};

/* Room for `n` more bytes, zeroed; NULL: no memory. */
static uint8_t *room(struct pcapng *p, size_t n)
{
    if (p->failed)
        return NULL;
    if (p->len + n > p->room) {
        size_t bigger = (p->len + n) * 2;
        uint8_t *bytes = realloc(p->bytes, bigger);
        if (!bytes) {
            p->failed = true;
            return NULL;
        }
        p->bytes = bytes;
        p->room = bigger;
    }
    uint8_t *at = p->bytes + p->len;
    memset(at, 0, n);
    p->len += n;
    return at;
}

static void put(struct pcapng *p, const void *value, size_t n)
{
    uint8_t *at = room(p, (n + 3) & ~(size_t)3);
    if (at && n > 0)
        memcpy(at, value, n);
}

static void put32(struct pcapng *p, uint32_t v) { put(p, &v, sizeof v); }

static void option(struct pcapng *p, uint16_t code, const void *value, size_t len)
{
    uint16_t head[2] = {code, (uint16_t)(len < OPTION_MAX ? len : OPTION_MAX)};
    put(p, head, sizeof head);
    put(p, value, head[1]);
}

static void text_option(struct pcapng *p, uint16_t code, const char *text)
{
    if (text && text[0])
        option(p, code, text, strlen(text));
}

/* Returns where the block begins. */
static size_t begin(struct pcapng *p, uint32_t type)
{
    size_t at = p->len;
    put32(p, type);
    put32(p, 0);
    return at;
}

/* Both lengths are known now. A block that could not be made whole is taken back. */
static void end(struct pcapng *p, size_t at)
{
    put32(p, END_OF_OPTIONS); /* code and length */
    uint32_t len = (uint32_t)(p->len - at) + 4;
    put32(p, len);
    if (p->failed)
        p->len = at;
    else
        memcpy(p->bytes + at + 4, &len, sizeof len);
}

void pcapng_section(struct pcapng *p, const char *application, const char *comment)
{
    size_t at = begin(p, BLOCK_SECTION);
    uint16_t version[2] = {1, 0};
    int64_t unknown_length = -1;
    put32(p, ORDER_MAGIC);
    put(p, version, sizeof version);
    put(p, &unknown_length, sizeof unknown_length);
    text_option(p, SECTION_APPLICATION, application);
    text_option(p, COMMENT, comment);
    end(p, at);
}

void pcapng_interface(struct pcapng *p, const char *name, const char *description, const char *comment,
                      bool ethernet)
{
    size_t at = begin(p, BLOCK_INTERFACE);
    uint16_t link[2] = {ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 0};
    uint8_t resolution = MICROSECONDS;
    put(p, link, sizeof link);
    put32(p, 0); /* no limit to a packet's bytes */
    text_option(p, INTERFACE_NAME, name);
    text_option(p, INTERFACE_DESCRIPTION, description);
    option(p, INTERFACE_RESOLUTION, &resolution, 1);
    text_option(p, COMMENT, comment);
    end(p, at);
}

void pcapng_packet(struct pcapng *p, const struct pcapng_packet *pkt)
{
    size_t at = begin(p, BLOCK_PACKET);
    uint32_t flags = (uint32_t)pkt->way;
    put32(p, pkt->interface);
    put32(p, (uint32_t)(pkt->t_us >> 32));
    put32(p, (uint32_t)pkt->t_us);
    put32(p, pkt->len);
    put32(p, pkt->whole);
    put(p, pkt->data, pkt->len);
    option(p, PACKET_FLAGS, &flags, sizeof flags);
    if (pkt->lost > 0)
        option(p, PACKET_DROPCOUNT, &pkt->lost, sizeof pkt->lost);
    text_option(p, COMMENT, pkt->comment);
    end(p, at);
}

void pcapng_free(struct pcapng *p)
{
    free(p->bytes);
    *p = (struct pcapng){0};
}
