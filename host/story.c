/* story.c - see story.h. */
#include "host/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, CROWD_SHOWN = 1 };

void story_init(struct story *s, const char *scenario, const char *part, const char *title)
{
    memset(s, 0, sizeof *s);
    s->scenario = strdup(scenario);
    s->part = strdup(part);
    s->title = strdup(title);
}

void story_free(struct story *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free(s->items[i].text);
    for (int side = 0; side < 2; side++) {
        free(s->name[side]);
        free(s->addr[side]);
    }
    free(s->scenario);
    free(s->part);
    free(s->title);
    free(s->items);
    memset(s, 0, sizeof *s);
}

void story_name(struct story *s, enum story_side side, const char *name, const char *addr)
{
    free(s->name[side]);
    free(s->addr[side]);
    s->name[side] = strdup(name);
    s->addr[side] = strdup(addr);
}

struct story_item *story_add(struct story *s, enum story_kind kind, enum story_side side, uint64_t t_us)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->items = realloc(s->items, s->cap * sizeof *s->items);
    }
    struct story_item *i = &s->items[s->n++];
    *i = (struct story_item){
        .t_us = t_us,
        .arrival_us = STORY_UNKNOWN,
        .kind = (uint8_t)kind,
        .side = (uint8_t)side,
        .of = STORY_NOWHERE,
    };
    return i;
}

void story_note(struct story *s, enum story_side side, uint64_t t_us, const char *text)
{
    story_add(s, STORY_NOTE, side, t_us)->text = strdup(text);
}

/* --- states ---------------------------------------------------------------------------------- */

void story_edge(uint16_t cause, uint8_t *from, uint8_t *to)
{
    if (cause == TERN_C_SYN_RCVD_LISTEN)
        *from = TERN_LISTEN;
    else if (cause == TERN_C_SYN_RCVD_TIME_WAIT)
        *from = TERN_TIME_WAIT;
    else if (cause == TERN_C_OLD_DUPLICATE_SYN)
        *to = TERN_TIME_WAIT;
    else if (cause == TERN_C_HALFOPEN_RESET || cause == TERN_C_HALFOPEN_SYN ||
             cause == TERN_C_HALFOPEN_TIMEOUT)
        *to = TERN_LISTEN;
}

bool story_edge_hidden(uint16_t cause, uint8_t from)
{
    return cause == TERN_C_SYN_RCVD_TIME_WAIT && from == TERN_TIME_WAIT;
}

/* --- words ----------------------------------------------------------------------------------- */

const char *story_flags(uint8_t flags, char buf[40])
{
    static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    int n = 0;
    for (int i = 0; i < 8; i++)
        if (flags >> i & 1)
            n += snprintf(buf + n, 40 - (size_t)n, "%s%s", n ? "," : "", names[i]);
    if (n == 0)
        snprintf(buf, 40, "none");
    return buf;
}

const char *story_from(const struct story *s, const struct story_item *i)
{
    return i->outsider ? "X" : s->name[i->side];
}

/* PSH tells nothing to a reader of a ladder. */
static uint8_t spoken_flags(uint8_t flags)
{
    return flags == (PSH | ACK) || (flags & FIN) ? flags & ~PSH : flags;
}

const char *story_segment_text(const struct story *s, const struct story_item *i, char *buf, size_t len)
{
    char flags[40];
    story_flags(spoken_flags(i->flags), flags);
    int n = s->conns > 1 && i->conn != STORY_NOWHERE ? snprintf(buf, len, "#%u ", i->conn + 1) : 0;
    n += snprintf(buf + n, len - (size_t)n, "%s seq %u", flags, i->rseq);
    if (i->flags & ACK)
        n += snprintf(buf + n, len - (size_t)n, " ack %u", i->rack);
    if (i->len)
        snprintf(buf + n, len - (size_t)n, " len %u", i->len);
    return buf;
}

/* --- folding --------------------------------------------------------------------------------- */

const char *story_number(uint64_t v, char buf[32])
{
    char plain[24];
    int n = snprintf(plain, sizeof plain, "%llu", (unsigned long long)v), at = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = plain[i];
    }
    buf[at] = 0;
    return buf;
}

void story_tally_add(struct story_tally *t, const struct story_item *i)
{
    if (i->kind != STORY_SEGMENT)
        return;
    if (i->crowd) {
        t->crowd += i->outsider;
    } else if (i->len > 0) {
        t->data[i->side]++;
        t->bytes[i->side] += i->len;
    } else if (i->flags & SYN) {
        t->syns++;
    } else {
        t->acks++;
    }
}

static int say(char *buf, size_t len, int n, uint64_t count, const char *what)
{
    char text[32];
    if (count == 0)
        return n;
    return n + snprintf(buf + n, len - (size_t)n, "%s%s %s", n ? ", " : "", story_number(count, text), what);
}

bool story_tally_text(const struct story *s, const struct story_tally *t, char *buf, size_t len)
{
    buf[0] = 0;
    int n = say(buf, len, 0, t->crowd, "more from X");
    for (int side = 0; side < 2; side++) {
        char bytes[32], what[80];
        snprintf(what, sizeof what, "segments from %s (%s bytes)", s->name[side],
                 story_number(t->bytes[side], bytes));
        n = say(buf, len, n, t->data[side], what);
    }
    n = say(buf, len, n, t->syns, "SYN or SYN,ACK");
    return say(buf, len, n, t->acks, n ? "ACK" : "segments without data") > 0;
}

/* Hide the middle of the run first..last-1. */
static void hide_middle(struct story *s, uint32_t first, uint32_t last, uint32_t keep)
{
    uint32_t head = keep * 2 / 3, tail = keep - head;
    if (last - first <= keep + 4)
        return;
    for (uint32_t i = first + head; i < last - tail; i++)
        s->items[i].hidden = true;
}

static void hide_crowd(struct story *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->items[i].crowd > CROWD_SHOWN)
            s->items[i].hidden = true;
}

/* A segment and its arrival are shown or hidden together. */
static void hide_pairs(struct story *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct story_item *arrival = &s->items[i];
        if (arrival->kind != STORY_ARRIVAL || arrival->of == STORY_NOWHERE)
            continue;
        struct story_item *segment = &s->items[arrival->of];
        if (segment->hidden)
            arrival->hidden = true;
        else if (arrival->hidden)
            segment->of = STORY_NOWHERE;
    }
}

void story_fold(struct story *s, uint32_t keep)
{
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t end = i;
        while (end < s->n && s->items[end].bulk)
            end++;
        hide_middle(s, i, end, keep);
        i = end;
    }
    hide_crowd(s);
    hide_pairs(s);
}

/* --- from the trace of one stack ------------------------------------------------------------- */

struct reader {
    struct story *s;
    uint64_t conn;
    uint32_t iss, irs;
};

static void read_segment(struct reader *r, const tern_trace_record *rec)
{
    bool out = rec->kind == TERN_TRACE_SEG_OUT;
    struct story_item *i = story_add(r->s, STORY_SEGMENT, out ? STORY_LEFT : STORY_RIGHT, rec->t_us);
    i->flags = rec->tcp_flags;
    i->seq = rec->seq;
    i->ack = rec->ack;
    i->len = rec->len;
    i->wnd = rec->wnd;
    i->mss = rec->mss;
    i->again = out && rec->a == 1;
    i->cause = out ? rec->cause : 0;
    i->port[0] = rec->local_port;
    i->port[1] = rec->remote_port;
    i->rseq = rec->seq - (out ? r->iss : r->irs);
    i->rack = rec->ack - (out ? r->irs : r->iss);
    i->bulk = (rec->tcp_flags & (SYN | FIN | RST)) == 0 && !i->again;
}

static void read_state(struct reader *r, const tern_trace_record *rec)
{
    if (story_edge_hidden(rec->cause, rec->state))
        return;
    struct story_item *i = story_add(r->s, STORY_STATE, STORY_LEFT, rec->t_us);
    i->from = rec->state;
    i->to = rec->state_to;
    story_edge(rec->cause, &i->from, &i->to);
    i->cause = rec->cause;
    i->port[0] = rec->local_port;
    i->port[1] = rec->remote_port;
}

/* The last segment received was refused. */
static void read_drop(struct reader *r, const tern_trace_record *rec)
{
    for (uint32_t k = r->s->n; k-- > 0;) {
        struct story_item *i = &r->s->items[k];
        if (i->kind == STORY_SEGMENT && i->side == STORY_RIGHT) {
            if (i->seq == rec->seq && i->t_us == rec->t_us)
                i->refused = rec->cause;
            return;
        }
    }
}

static void read_record(struct reader *r, const tern_trace_record *rec)
{
    r->iss = rec->iss ? rec->iss : r->iss;
    r->irs = rec->irs ? rec->irs : r->irs;
    if (rec->kind == TERN_TRACE_SEG_OUT || rec->kind == TERN_TRACE_SEG_IN)
        read_segment(r, rec);
    else if (rec->kind == TERN_TRACE_STATE)
        read_state(r, rec);
    else if (rec->kind == TERN_TRACE_DROP)
        read_drop(r, rec);
}

/* Initial numbers may be learned after the first segment: set all relative numbers again. */
static void set_relative(struct reader *r)
{
    for (uint32_t k = 0; k < r->s->n; k++) {
        struct story_item *i = &r->s->items[k];
        bool out = i->side == STORY_LEFT;
        i->rseq = i->seq - (out ? r->iss : r->irs);
        i->rack = i->flags & ACK ? i->ack - (out ? r->irs : r->iss) : 0;
    }
}

void story_from_trace(struct story *s, const tern_trace_record *records, uint32_t n, uint64_t conn)
{
    struct reader r = {.s = s, .conn = conn};
    s->one_sided = true;
    s->conns = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (r.conn == 0)
            r.conn = records[i].conn;
        if (records[i].conn != r.conn || r.conn == 0)
            continue;
        if (s->n == 0)
            s->start_us = records[i].t_us;
        read_record(&r, &records[i]);
    }
    set_relative(&r);
}
