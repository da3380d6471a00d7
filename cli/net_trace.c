/* net_trace.c - what --trace and --ladder do with the records of the stack.
 *
 * --trace writes each record at once, as one JSON object a line. --ladder keeps the records of each
 * connection until it is over, and draws it then: of a very long one the first and the last records.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/ladder.h"
#include "host/story.h"
#include "net.h"

enum { KEEP_FIRST = 1 << 16, KEEP_LAST = 256, FOLD = 12 };

/* The records of one connection. */
typedef struct life {
    struct life *next;
    uint64_t conn;
    tern_trace_record *records;
    uint32_t n, room;
    uint64_t skipped;
    bool time_wait; /* its last ACK is all that can follow */
    bool done;      /* drawn already */
} life;

typedef struct trace {
    FILE *file; /* NULL: no --trace */
    bool ladder;
    life *lives;
    bool drawn; /* one at least: a blank line before the next */
    tern_trace_record stray; /* the last segment of no connection: perhaps the SYN of the next one */
} trace;

/* --- one JSON object a line ------------------------------------------------------------------- */

static void write_edge(FILE *out, const tern_trace_record *r)
{
    uint8_t from = r->state, to = r->state_to;
    story_edge(r->cause, &from, &to);
    fprintf(out, "\"state\",\"host\":\"tern\",\"from\":\"%s\",\"to\":\"%s\"",
            tern_state_name((enum tern_state)from), tern_state_name((enum tern_state)to));
}

/* Segments and state changes as `tern demo --json` names them; the other kinds by their names in
 * events.def. */
static void write_kind(FILE *out, const tern_trace_record *r)
{
    static const char *const names[] = {"none",
#define TRACE_EVENT(name, text) #name,
#include <tern/events.def>
#undef TRACE_EVENT
    };
    if (r->kind == TERN_TRACE_SEG_IN)
        fputs("\"segment\",\"from\":\"peer\",\"to\":\"tern\"", out);
    else if (r->kind == TERN_TRACE_SEG_OUT)
        fputs("\"segment\",\"from\":\"tern\",\"to\":\"peer\"", out);
    else if (r->kind == TERN_TRACE_STATE)
        write_edge(out, r);
    else
        fprintf(out, "\"%s\"", r->kind < TERN_TRACE_KINDS ? names[r->kind] : "unknown");
}

static void write_addresses(FILE *out, const tern_trace_record *r)
{
    char a[64], b[64];
    tern_endpoint local = {r->local, r->local_port, 0}, remote = {r->remote, r->remote_port, 0};
    fprintf(out, ",\"local\":\"%s\",\"remote\":\"%s\"", net_endpoint_text(&local, a),
            net_endpoint_text(&remote, b));
}

static void write_segment(FILE *out, const tern_trace_record *r)
{
    char flags[40];
    bool in = r->kind != TERN_TRACE_SEG_OUT;
    uint32_t first = in ? r->irs : r->iss, other = in ? r->iss : r->irs;
    fprintf(out, ",\"flags\":\"%s\",\"seq\":%u,\"ack\":%u,\"len\":%u,\"wnd\":%u",
            story_flags(r->tcp_flags, flags), r->seq, r->ack, r->len, r->wnd);
    if (first != 0) /* else the initial numbers are not known yet */
        fprintf(out, ",\"rseq\":%u,\"rack\":%u", r->seq - first,
                (r->tcp_flags & 16) != 0 ? r->ack - other : 0);
    if (r->gso_size != 0)
        fprintf(out, ",\"gso_size\":%u", r->gso_size);
    if (r->mss != 0)
        fprintf(out, ",\"mss\":%u", r->mss);
    if (r->n_sack != 0)
        fprintf(out, ",\"sack_blocks\":%u", r->n_sack);
    if (r->ts_val != 0 || r->ts_ecr != 0)
        fprintf(out, ",\"ts_val\":%u,\"ts_ecr\":%u", r->ts_val, r->ts_ecr);
}

static void write_record(FILE *out, const tern_trace_record *r)
{
    enum tern_cause cause = r->cause < TERN_CAUSES ? (enum tern_cause)r->cause : TERN_CAUSE_NONE;
    bool segment =
        r->kind == TERN_TRACE_SEG_IN || r->kind == TERN_TRACE_SEG_OUT || r->kind == TERN_TRACE_DROP;
    fprintf(out, "{\"t_us\":%" PRIu64 ",\"conn\":%" PRIu64 ",\"ev\":", r->t_us, r->conn);
    write_kind(out, r);
    write_addresses(out, r);
    if (segment)
        write_segment(out, r);
    else if (r->len != 0)
        fprintf(out, ",\"seq\":%u,\"len\":%u", r->seq, r->len);
    if (!segment && r->kind != TERN_TRACE_STATE)
        fprintf(out, ",\"a\":%" PRIu64 ",\"b\":%" PRIu64 ",\"c\":%" PRIu64, r->a, r->b, r->c);
    if (cause != TERN_CAUSE_NONE)
        fprintf(out, ",\"cause\":\"%s\",\"rule\":\"%s\",\"why\":\"%s\"", tern_cause_name(cause),
                tern_cause_rule(cause), tern_cause_text(cause));
    fputs("}\n", out);
}

/* --- ladders ---------------------------------------------------------------------------------- */

static life *life_of(trace *t, uint64_t conn)
{
    for (life *l = t->lives; l != NULL; l = l->next)
        if (l->conn == conn)
            return l;
    life *l = calloc(1, sizeof *l);
    if (l != NULL) {
        *l = (life){.next = t->lives, .conn = conn};
        t->lives = l;
    }
    return l;
}

static void life_drop(trace *t, life *gone)
{
    for (life **at = &t->lives; *at != NULL; at = &(*at)->next) {
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    }
    free(gone->records);
    free(gone);
}

static void keep(life *l, const tern_trace_record *r)
{
    if (l->n == KEEP_FIRST + KEEP_LAST) { /* forget the oldest of the last ones */
        memmove(l->records + KEEP_FIRST, l->records + KEEP_FIRST + 1, (KEEP_LAST - 1) * sizeof *r);
        l->n--;
        l->skipped++;
    }
    if (l->n == l->room) {
        uint32_t room = l->room != 0 ? l->room * 2 : 64;
        tern_trace_record *bigger = realloc(l->records, room * sizeof *r);
        if (bigger == NULL)
            return;
        l->records = bigger;
        l->room = room;
    }
    l->records[l->n++] = *r;
}

/* A listener's life has no segment and is not drawn. */
static bool worth_drawing(const life *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (l->records[i].kind == TERN_TRACE_SEG_IN || l->records[i].kind == TERN_TRACE_SEG_OUT)
            return true;
    return false;
}

static void draw(trace *t, life *l)
{
    struct story s;
    char title[160], a[64], b[64];
    if (worth_drawing(l)) {
        const tern_trace_record *r = &l->records[0];
        tern_endpoint local = {r->local, r->local_port, 0}, remote = {r->remote, r->remote_port, 0};
        snprintf(title, sizeof title, "connection %" PRIu64 ": tern at %s, the other side at %s", l->conn,
                 net_endpoint_text(&local, a), net_endpoint_text(&remote, b));
        story_init(&s, "trace", "", title);
        story_name(&s, STORY_LEFT, "tern", a);
        story_name(&s, STORY_RIGHT, "peer", b);
        story_from_trace(&s, l->records, l->n, l->conn);
        story_fold(&s, FOLD);
        if (t->drawn)
            printf("\n");
        ladder_print(&s, stdout, isatty(STDOUT_FILENO));
        if (l->skipped > 0)
            printf("(%" PRIu64 " records in the middle were not kept)\n", l->skipped);
        fflush(stdout);
        t->drawn = true;
        story_free(&s);
    }
    l->n = 0;
    l->done = true;
}

static bool same_ends(const tern_trace_record *a, const tern_trace_record *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

/* The SYN to a listener comes before there is a connection: its life begins with it. */
static void keep_syn(trace *t, life *l, const tern_trace_record *opened)
{
    if (t->stray.kind == TERN_TRACE_NONE || !same_ends(&t->stray, opened))
        return;
    t->stray.conn = opened->conn;
    keep(l, &t->stray);
    t->stray.kind = TERN_TRACE_NONE;
}

static void follow(trace *t, const tern_trace_record *r)
{
    life *l = r->conn != 0 ? life_of(t, r->conn) : NULL;
    if (r->conn == 0 && r->kind == TERN_TRACE_SEG_IN)
        t->stray = *r;
    if (l == NULL)
        return;
    if (r->kind == TERN_TRACE_OPENED)
        keep_syn(t, l, r);
    if (!l->done)
        keep(l, r);
    l->time_wait |= r->kind == TERN_TRACE_STATE && r->state_to == TERN_TIME_WAIT;
    if (r->kind == TERN_TRACE_RELEASED || (l->time_wait && r->kind == TERN_TRACE_SEG_OUT))
        draw(t, l);
    if (r->kind == TERN_TRACE_RELEASED)
        life_drop(t, l);
}

/* --- both ------------------------------------------------------------------------------------- */

static void on_record(void *ctx, const tern_trace_record *r)
{
    trace *t = ctx;
    bool bookkeeping = r->kind == TERN_TRACE_STATE && story_edge_hidden(r->cause, r->state);
    if (t->file != NULL && !bookkeeping)
        write_record(t->file, r);
    if (t->ladder)
        follow(t, r);
}

const char *net_trace_open(net *n, const net_options *o, char err[160])
{
    trace *t;
    if (o->trace == NULL && !o->ladder)
        return NULL;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return "not enough memory";
    t->ladder = o->ladder;
    n->trace = t;
    if (o->trace != NULL) {
        t->file = strcmp(o->trace, "-") == 0 ? stdout : fopen(o->trace, "we");
        if (t->file == NULL) {
            snprintf(err, 160, "the file %.80s cannot be written (%s)", o->trace, strerror(errno));
            return err;
        }
        setvbuf(t->file, NULL, _IOLBF, 1 << 16);
    }
    tern_host_on_trace(n->host, on_record, t);
    return NULL;
}

void net_trace_close(net *n)
{
    trace *t = n->trace;
    if (t == NULL)
        return;
    while (t->lives != NULL) {
        draw(t, t->lives);
        life_drop(t, t->lives);
    }
    if (t->file != NULL && t->file != stdout)
        fclose(t->file);
    free(t);
    n->trace = NULL;
}
