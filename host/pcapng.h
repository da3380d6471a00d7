/* pcapng.h - blocks of a capture file, made in memory (draft-ietf-opsawg-pcapng).
 *
 * libpcap writes no comments, and a packet's comment is what tern has to say; so the few kinds of blocks that
 * are needed are made here. Who uses it writes `bytes` out whenever it likes: only whole blocks are ever in
 * it, so a file of them can be read however its writer ends.
 */
#ifndef HOST_PCAPNG_H
#define HOST_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pcapng {
    uint8_t *bytes; /* whole blocks, `len` bytes; the user sets len = 0 when they are written */
    size_t len, room;
    bool failed;    /* no memory: this and all further blocks are missing */
};

enum pcapng_way { PCAPNG_UNKNOWN, PCAPNG_IN, PCAPNG_OUT };

struct pcapng_packet {
    uint32_t interface;   /* number of the interface, from 0 in the order of pcapng_interface */
    uint64_t t_us;        /* microseconds since 1970-01-01 UTC */
    const uint8_t *data;  /* from the IP header on, or the frame's */
    uint32_t len, whole;  /* bytes in data; bytes that the packet had */
    enum pcapng_way way;
    uint64_t lost;        /* packets that are missing before this one; 0 = none, or not known */
    const char *comment;  /* UTF-8; NULL or "" = none */
};

/* Begin a section: a file begins with one. Interfaces are counted from 0 again. */
void pcapng_section(struct pcapng *p, const char *application, const char *comment);

/* The next interface, of IP packets without a link header (LINKTYPE_RAW), or of Ethernet frames. Texts may be
 * NULL. */
void pcapng_interface(struct pcapng *p, const char *name, const char *description, const char *comment,
                      bool ethernet);

void pcapng_packet(struct pcapng *p, const struct pcapng_packet *pkt);

void pcapng_free(struct pcapng *p);

#endif
