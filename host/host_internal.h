/* host_internal.h - what the event loop and the control socket share. */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include <limits.h>
#include <sys/epoll.h>
#include <tern/host.h>

enum {
    CONTROL_LINE = 160, /* longest question */
    HOST_LINKS = 16, /* ids 1..15 */
    HOST_EVENTS = 32, /* descriptors that are looked at in a turn */
    HOST_BATCH = 64, /* packets handed to or taken from the stack at once */
    /* What an event of the epoll set is about: a link's id, or one of these. */
    HOST_TAG_TIMER = 32,
    HOST_TAG_ASKED = 33, /* another process asks for this host */
    HOST_TAG_CONTROL = 64, /* up to HOST_TAG_CONTROL + CONTROL_CLIENTS */
};

struct capture;
struct control;
struct json_t;

struct host_link {
    tern_link *link; /* NULL: none */
    int region;      /* of its receive memory; 0 = what it receives is copied */
    int gone;        /* -errno when it is */
};

enum host_phase {
    HOST_LIVE,
    HOST_WAITING, /* taken over, and not yet owned: it stands still */
    HOST_OVER,    /* handed over */
};

/* What a handover needs. */
struct asked {
    int fd;                      /* connection to the other process; -1 = none */
    bool allowed;
    /* in HOST_WAITING: */
    char name[40];               /* of the control socket to be */
    int link_fds[HOST_LINKS];    /* by id; -1 = none, or given out */
    bool link_there[HOST_LINKS]; /* the old host had it */
    void *memory;                /* what came: image and luggage; NULL = nothing */
    size_t memory_len;
    int *fds;                    /* of the luggage */
};

struct tern_host {
    uint8_t phase; /* enum host_phase */
    struct asked asked;
    tern *stack;
    void *memory; /* of the stack */
    size_t memory_len;
    uint64_t budget; /* bytes of it that may be used */
    tern_trace_record *ring;            /* NULL: no trace */
    size_t ring_len;                    /* bytes */
    int epoll, timer;                   /* descriptors */
    uint64_t armed;                     /* us: when the timer fires; UINT64_MAX = it does not */
    bool polled;                        /* somebody has the descriptor: it must tell of deadlines, too */
    int seen;                           /* events that tern_host_wait has found; -1 = it was not asked */
    struct epoll_event events[HOST_EVENTS];
    uint32_t more;                      /* a bit for each link that may have another batch */
    uint32_t rounds;                    /* batches received since the last flush */
    struct host_link links[HOST_LINKS]; /* by id */
    int gone;                           /* -errno of the first link that went; 0 = all are there */
    struct control *control;            /* NULL: none */
    void (*on_trace)(void *ctx, const tern_trace_record *r);
    void *trace_ctx;
    uint64_t tx_refused; /* packets that a link did not take */
    uint64_t trace_lost; /* records overwritten before they were taken */
    uint64_t trace_next; /* number of the record that is taken next: all before it were taken or lost */
    struct capture *capture; /* NULL: none */
    char trouble[PATH_MAX + 200], trouble_said[PATH_MAX + 200]; /* for tern_host_trouble; "" = none */
    tern_rx_packet rx[HOST_BATCH];
    tern_tx_packet tx[HOST_BATCH];
    tern_trace_record records[HOST_BATCH];
};

/* Watch a descriptor for reading; the events come back with `tag`. 0 or -errno. */
int host_watch(tern_host *h, int fd, uint32_t tag);
/* Watch it for writing instead, or for reading again. */
void host_watch_write(tern_host *h, int fd, uint32_t tag, bool write);

/* loop.c: a host without a stack, which has its descriptors if *rc is 0; NULL: no memory. */
tern_host *host_new(int *rc);
/* Map the memory of its stack and the trace ring. 0 or -ENOMEM. */
int host_map(tern_host *h, const tern_host_config *cfg, uint64_t at_least);
/* Own a link and watch it, under an id that the stack has. 0 or -errno. */
int host_put_link(tern_host *h, int id, tern_link *l);

/* handover.c: a client of the control socket asks for the host; its descriptor is ours from now on. False:
 * it may not, or another one has asked; then it is still the caller's. */
bool handover_ask(tern_host *h, int fd);
/* Let go of everything that belongs to a handover. */
void handover_end(tern_host *h);

/* Open the control socket. 0, or -errno and a sentence in `err`. */
int control_open(tern_host *h, const char *name, char *err, size_t err_len);
/* Something happened at HOST_TAG_CONTROL + i. */
void control_event(tern_host *h, uint32_t i);
void control_close(tern_host *h);
/* control_net.c: the answer to a line about addresses, routes and links, a new object; NULL: it is about
 * something else. */
struct json_t *control_net(tern_host *h, const char *line);

/* control_dir.c: where the sockets lie. The n-th place to try for our own (0, 1, ...), NULL: no more. */
const char *control_place(int n, char *buf, size_t len);
/* Make it if need be. Whether it is ours alone to write. */
bool control_make_dir(const char *path);
/* All directories that may hold sockets of others, each once; called back with whether it is ours. */
void control_each_dir(void (*fn)(void *ctx, const char *dir, bool ours), void *ctx);

#endif
