/* handover_wire.h - what passes between the two processes of a handover (tern/handover.h), on the connection
 * that the new one made to the old one's control socket.
 *
 *   new ──▶ "handover 1\n"
 *   old ──▶ struct handover_head, with descriptors: memory, links      or a JSON object that says why not
 *   old ──▶ struct handover_part, with descriptors: luggage            as often as it takes
 *   new ──▶ 'T' taken: from here on the new one is the host            or it goes away
 *   old ──▶ 'K' kept: it has given up waiting, and goes on
 *
 * The memory (a memfd, sealed) holds the image, then the luggage.
 *
 * Why nobody is lost and nobody doubled: the kernel puts 'T' into the old one's queue in one step. Who gives
 * up waiting first shuts his side for reading, so that no 'T' can come any more, and looks once more whether
 * one came before; only then he says 'K' and goes on. A new one whose 'T' is refused reads on: 'K' means
 * that the old one lives; the end of the stream without it means that the old one has died while it stood
 * still, so nothing has happened since the image, and the new one has all.
 */
#ifndef HOST_HANDOVER_WIRE_H
#define HOST_HANDOVER_WIRE_H

#include <stdint.h>

#define HANDOVER_VERSION 1
#define HANDOVER_QUESTION "handover 1"

enum {
    HANDOVER_LINKS = 16,
    HANDOVER_FDS = 128,      /* descriptors in one message; the kernel takes 253 */
    HANDOVER_FDS_ALL = 100000,
    HANDOVER_PATIENCE_MS = 10000,
};

#define HANDOVER_TAKEN 'T'
#define HANDOVER_KEPT  'K'

static const char handover_magic[8] = {'t', 'e', 'r', 'n', 'h', 'a', 'n', 'd'};

struct handover_head {
    char magic[8];
    uint64_t image_len, luggage_len; /* bytes in the memory */
    uint32_t luggage_fds;            /* in the parts that follow */
    uint8_t links[HANDOVER_LINKS];   /* by id: whether its descriptor is here, in order behind the memory's */
    uint8_t pad[4];
};

struct handover_part {
    uint32_t fds; /* that come with it */
};

#endif
