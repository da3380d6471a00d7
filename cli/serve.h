/* serve.h - the rooms of `tern serve`.
 *
 *     serve.c        options, listeners, the loop
 *     serve_crew.c   several servers, each with a thread, a stack and a queue of the device (--queues)
 *     serve_conn.c   one connection: read a request, send the answer, keep alive or close
 *     serve_http.c   bytes to a request (the distribution's http_parser)
 *     serve_file.c   a request to an answer: which file, which part of it, or why not
 *     serve_path.c   a URL to an opened file below the directory, never outside of it
 *     serve_pages.c  a file's pages to bytes that the stack refers to
 *     serve_list.c   the page for a directory without index.html
 *     serve_move.c   all connections with their answers, from one process to another (--handover)
 *
 * A connection between two requests costs its small record only: the request's fields and the answer exist
 * while they are needed. The bytes of a large file stay where they are and are lent; those of a small one
 * pass through one buffer that all connections share.
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include <http_parser.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "net.h"

enum { REQUEST_URL = 2048, REQUEST_FIELD = 256, REQUEST_HEAD_MAX = 32768 };

/* The fields of a request that matter here; the rest is read and forgotten. */
enum field {
    FIELD_OTHER,
    FIELD_RANGE,
    FIELD_IF_RANGE,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_MODIFIED,
    FIELD_HOST,
    FIELDS
};

typedef struct request {
    http_parser parser;
    char url[REQUEST_URL];
    char field[FIELDS][REQUEST_FIELD]; /* "" = not there */
    char name[32];                     /* of the field being read */
    uint8_t current;                   /* enum field */
    bool in_value;                     /* the last piece was of a value: a name now begins anew */
    bool complete;
    bool url_too_long, host_given;
    bool begun;
    uint8_t first;       /* byte of the request line, when it has begun */
    uint32_t head_bytes; /* read so far, to bound what a client can make us read */
    bool keep_alive;     /* the client wants to go on after this one */
    uint16_t refuse;     /* status to answer with at once; 0 = none */
} request;

/* Which file, and which version of it. */
typedef struct file_id {
    uint64_t device, number, size, mtime_s, mtime_ns;
} file_id;

/* An answer: the head, then a file's part or a text. */
typedef struct answer {
    int status;
    uint32_t head_len, head_sent;
    int fd;          /* -1 = none */
    file_id file;    /* of fd */
    int piece;       /* where its next byte is mapped (serve_pages.c), from 1; 0 = it is not */
    char *text;      /* NULL = none; freed with the answer */
    uint64_t offset; /* of the next byte to send, in the file or text */
    uint64_t left;   /* bytes of the body still to send */
    uint64_t body;   /* bytes of the body, for the log */
    bool keep_alive;
    char head[1024];
} answer;

enum phase {
    PHASE_READ, /* waits for a request, or reads one */
    PHASE_SEND, /* sends the answer */
    /* has closed its direction; reads what the client still sends, so that close need not reset */
    PHASE_DRAIN,
};

typedef struct conn {
    tern_handle h;
    struct conn *prev, *next;
    request *req;      /* NULL between requests */
    answer *ans;       /* in PHASE_SEND */
    uint64_t since_us; /* last progress */
    uint32_t drained;  /* bytes read in PHASE_DRAIN */
    uint8_t phase;     /* enum phase */
    int lent_of;       /* the piece that bytes were last lent of, from 1; 0 = none were (serve_pages.c) */
} conn;

enum {
    SERVE_LISTENS = 16,
    SERVE_CHUNK = 1 << 16,
    PAGES_LEAST = 16 << 10, /* bytes of a body; smaller ones are copied */
};

typedef struct server {
    net net;
    net_options options;
    int root; /* the directory */
    const char *root_name;
    bool verbose;
    tern_endpoint listens[SERVE_LISTENS];
    tern_handle listeners[SERVE_LISTENS];
    int n_listens;
    conn *conns;
    uint32_t n_conns;
    bool takes_over;   /* --handover */
    int old_pid;       /* of --handover=PID; 0 = whoever has the name */
    int queues;        /* --queues; 0 = one, of a device that has one */
    bool aside;        /* another one of the crew says what there is to say */
    struct pages *pages; /* NULL: files are read */
    uint64_t swept_us; /* when idle connections were last looked for */
    char chunk[SERVE_CHUNK];
} server;

/* serve.c: make its stack and listeners. 0, or CMD_CANNOT after saying why. */
int server_start(server *s);
/* Serve until a signal comes; an exit status. */
int server_run(server *s);
/* What it holds; `s` itself stays. */
void server_end(server *s);

/* serve_crew.c: as many servers like this one as it has queues, one of them itself, until a signal comes. An
 * exit status. */
int crew_serve(server *first);

/* serve_http.c */
void request_init(request *r);
/* Feed bytes; returns how many belong to this request. Afterwards r->complete, or r->refuse, or neither (more
 * is needed). */
size_t request_feed(request *r, const uint8_t *data, size_t len);

/* serve_path.c: percent-decoding and dot segments resolved, "/a/b/../c%20d?x" → "a/c d". 0, or a status (400,
 * 404). */
int path_of_url(const char *url, char *out, size_t out_len);
/* Open `path` below `root`, following no link that leads out of it. Returns a descriptor, or -errno. */
int path_open(int root, const char *path);

/* serve_file.c */
void answer_make(server *s, const request *r, answer *a);
void answer_free(answer *a);
const char *mime_of(const char *path);

/* serve_pages.c: when there is a stack, and before it goes. */
void pages_open(server *s);
void pages_close(server *s);
/* Lend the connection what comes next of the answer's file: how many bytes it took, or its error (as
 * tern_lend); 0 = they are to be read and sent. */
long pages_send(server *s, conn *c, answer *a);
/* The answer needs its pages no more; what is lent stays until it has come back. */
void pages_leave(server *s, answer *a);
/* Take back what the stack has returned. */
void pages_returned(server *s);
/* Unmap what nobody has needed for a while. */
void pages_sweep(server *s, uint64_t now);
/* Whether some file has become shorter since this was last asked; and whether bytes of it were lent to this
 * connection. */
bool pages_broken(server *s);
bool pages_lost(const server *s, const conn *c);

/* serve_list.c: the page for a directory, as text of *len bytes; NULL = no memory. Takes `dir_fd` over. */
char *list_page(int dir_fd, const char *shown, size_t *len);

/* serve_conn.c */
void conn_open(server *s, tern_handle h);
void conn_run(server *s, conn *c);
void conn_free(server *s, conn *c);
void conn_sweep(server *s, uint64_t now);
/* Reset those whose files have become shorter. */
void conn_check(server *s);

/* Link an empty conn in: the handle is the caller's to set. NULL = no memory. */
conn *conn_new(server *s);

/* serve_move.c: give everything to the process that asks. True = it has it all, and nothing is left here. */
bool move_out(server *s);
/* Take what the old process sent: listeners and connections. 0, or CMD_CANNOT after saying why. The
 * descriptors of the luggage are closed, or belong to answers. */
int move_in(server *s, const tern_luggage *luggage);

/* "Sun, 06 Nov 1994 08:49:37 GMT"; and back (any of the three forms of RFC 9110 5.6.7), -1 = none of them. */
void http_date(time_t t, char buf[40]);
time_t http_date_parse(const char *text);

#endif
