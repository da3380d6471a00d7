/* setting.h - the situations that the explorer starts from, and how far it goes in each.
 *
 * A setting says what two stacks and their programs are at the beginning and what may happen afterwards. Each
 * opens other edges of the state diagram: two ends that call each other at once, a listener that answers by
 * cookies, a second connection of the same pair of ports, a router that refuses.
 */
#ifndef EXPLORE_SETTING_H
#define EXPLORE_SETTING_H

#include <tern/tern.h>

enum { A, B, SIDES };

/* How often something may happen on one path. 0 = never. */
struct bounds {
    uint8_t losses;   /* segments that the network loses */
    uint8_t dups;     /* segments that it doubles */
    uint8_t bytes;    /* bytes that each program sends on a connection; 8 at most */
    uint8_t aborts;   /* calls of abort, of both programs together */
    uint8_t early;    /* times that a timer of one side fires though segments are under way, or though the
                         other side's is due before: its clock alone goes on */
    uint8_t cuts;     /* 0 or 1: the wire is cut for good; all that is and will be sent is lost */
    uint8_t refusals; /* segments that a router refuses with ICMP: unreachable */
    uint8_t waits;    /* times that a second and a half pass though nothing is due yet */
};

/* What one program may do. */
struct role {
    uint8_t connects; /* calls of connect */
    uint8_t listens;  /* calls of listen */
    bool listening;   /* it listens from the beginning */
};

enum {
    SET_COOKIES = 1,    /* listeners answer every SYN by a cookie */
    SET_DEFER = 2,      /* listeners ask the program about each SYN */
    SET_KEEPALIVE = 4,  /* connections probe a silent peer */
    SET_LINGER = 8,     /* close resets */
    SET_TIMEOUT = 16,   /* connections have a user timeout */
    SET_NEW_PORT = 32,  /* the stack chooses A's port, and has but one */
    SET_ADDRESS = 64,   /* the address of a side may be taken away */
    SET_LINK = 128,     /* the peers are link-local, and the link of a side may be taken away */
    SET_EVICT = 256,    /* somebody else's half-open connection fills B's backlog */
    SET_RECYCLE = 512,  /* one record in TIME_WAIT at most; B has another one already */
    SET_NO_UNLISTEN = 1024, /* listeners stay until the end */
    SET_NO_SHUTDOWN = 2048, /* programs close, and do not shut down one direction before */
};

struct setting {
    const char *name;  /* a word */
    const char *title; /* one line */
    const char *adds;  /* which part of the diagram it is there for */
    struct bounds bounds; /* unless somebody says otherwise */
    struct role role[SIDES];
    unsigned flags;    /* SET_... */
    tern_config config; /* of both stacks; memory and seed are the explorer's */
};

/* All of them; ends with one without a name. */
const struct setting *settings(void);
const struct setting *setting_find(const char *name);

/* "2 losses, 1 duplicate, ...": the bounds in words. */
void bounds_text(const struct bounds *b, char *buf, uint32_t len);

#endif
