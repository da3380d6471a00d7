/* capture_text.c - see capture_text.h. */
#include "host/capture_text.h"
#include "host/info_json.h"
#include "host/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct words {
    char *text; /* CAPTURE_TEXT bytes */
    size_t n;
};

/* Add a sentence, behind a blank if it is not the first. */
__attribute__((format(printf, 2, 3))) static void say(struct words *w, const char *format, ...)
{
    va_list args;
    if (w->n + 2 >= CAPTURE_TEXT)
        return;
    if (w->n > 0)
        w->text[w->n++] = ' ';
    va_start(args, format);
    int len = vsnprintf(w->text + w->n, CAPTURE_TEXT - w->n, format, args);
    va_end(args);
    w->n += len > 0 ? (size_t)len : 0;
    w->n = w->n < CAPTURE_TEXT ? w->n : CAPTURE_TEXT - 1;
}

const char *capture_place(const tern_ip *ip, uint16_t port, char buf[64])
{
    char text[46];
    tern_ip_text(ip, text);
    snprintf(buf, 64, tern_ip_is4(ip) ? "%s:%u" : "[%s]:%u", text, port);
    return buf;
}

/* "sentence [NAME, rule]" */
static const char *because(uint16_t cause, char buf[256])
{
    enum tern_cause c = cause < TERN_CAUSES ? (enum tern_cause)cause : TERN_CAUSE_NONE;
    snprintf(buf, 256, "%s [%s, %s]", tern_cause_text(c), tern_cause_name(c), tern_cause_rule(c));
    return buf;
}

static bool same_ends(const tern_trace_record *a, const tern_trace_record *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

/* --- single records ----------------------------------------------------------------------------- */

static void say_state(struct words *w, const tern_trace_record *r)
{
    char why[256];
    uint8_t from = r->state, to = r->state_to;
    if (story_edge_hidden(r->cause, r->state))
        return;
    story_edge(r->cause, &from, &to);
    say(w, "%s → %s: %s.", tern_state_name((enum tern_state)from), tern_state_name((enum tern_state)to),
        because(r->cause, why));
}

static void say_opened(struct words *w, const tern_trace_record *r)
{
    char local[64], remote[64];
    say(w, "Connection %llu begins: %s with %s.", (unsigned long long)r->conn,
        capture_place(&r->local, r->local_port, local), capture_place(&r->remote, r->remote_port, remote));
}

static void say_timer(struct words *w, const tern_trace_record *r)
{
    unsigned long long times = r->b;
    if (times > 1)
        say(w, "The timer \"%s\" fired, %llu times in a row.", info_timer_name((uint8_t)r->a), times);
    else
        say(w, "The timer \"%s\" fired.", info_timer_name((uint8_t)r->a));
}

static void say_record(struct words *w, const tern_trace_record *r)
{
    char why[256];
    unsigned long long a = r->a, b = r->b;
    switch (r->kind) {
    case TERN_TRACE_STATE: say_state(w, r); break;
    case TERN_TRACE_OPENED: say_opened(w, r); break;
    case TERN_TRACE_TIMER_FIRED: say_timer(w, r); break;
    case TERN_TRACE_DELIVER: say(w, "%llu bytes became readable; unread now: %llu.", a, b); break;
    case TERN_TRACE_RTT: say(w, "Round trip %llu us, smoothed %llu us.", a, b); break;
    case TERN_TRACE_ICMP: say(w, "ICMP type %llu code %llu about it.", a, b); break;
    case TERN_TRACE_LOSS:
        say(w, "Taken for lost from relative number %u on: %s.", r->seq - r->iss, because(r->cause, why));
        break;
    case TERN_TRACE_CWND:
        if (r->cause != 0)
            say(w, "Congestion window now %llu bytes: %s.", a, because(r->cause, why));
        break;
    case TERN_TRACE_WINDOW:
        if (a == 0 || b == 0)
            say(w, "The peer's window is %s.", a == 0 ? "closed" : "open again");
        break;
    default: break;
    }
}

static void say_all(struct words *w, const tern_trace_record *records, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        say_record(w, &records[i]);
}

static const tern_trace_record *first_of(const tern_trace_record *records, uint32_t n, uint8_t kind)
{
    for (uint32_t i = 0; i < n; i++)
        if (records[i].kind == kind)
            return &records[i];
    return NULL;
}

/* "Connection 3 in ESTABLISHED." */
static void say_connection(struct words *w, const tern_trace_record *r)
{
    if (r && r->conn != 0)
        say(w, "Connection %llu in %s.", (unsigned long long)r->conn,
            tern_state_name((enum tern_state)r->state));
}

static void say_incomplete(struct words *w)
{
    say(w,
        "What was decided is not known: trace records were overwritten before the capture could read them.");
}

/* --- received ----------------------------------------------------------------------------------- */

void capture_say_received(char text[CAPTURE_TEXT], const tern_rx_packet *pkt,
                          const tern_trace_record *records, uint32_t n, bool whole)
{
    char why[256];
    struct words w = {.text = text};
    text[0] = '\0';
    say_connection(&w, first_of(records, n, TERN_TRACE_SEG_IN));
    if (pkt->verdict == TERN_UNCLAIMED)
        say(&w, "Not for this stack: handed back to the program.");
    else if (pkt->verdict == TERN_DROPPED)
        say(&w, "Dropped: %s.", because(pkt->cause, why));
    else
        say(&w, "Taken.");
    say_all(&w, records, n);
    if (!whole)
        say_incomplete(&w);
}

/* --- sent --------------------------------------------------------------------------------------- */

void capture_note(struct capture_notes *notes, const tern_trace_record *r)
{
    bool telling = r->kind == TERN_TRACE_STATE || r->kind == TERN_TRACE_OPENED ||
                   r->kind == TERN_TRACE_TIMER_FIRED || r->kind == TERN_TRACE_LOSS ||
                   (r->kind == TERN_TRACE_CWND && r->cause != 0);
    if (!telling)
        return;
    if (notes->n == CAPTURE_NOTES)
        memmove(&notes->v[0], &notes->v[1], (size_t)(--notes->n) * sizeof notes->v[0]);
    notes->v[notes->n++] = *r;
}

/* What has happened to this connection since its last packet; used up. A RST for a record that is gone has
 * no number; and what was noted of an earlier connection between the same ends explains nothing any more. */
static void say_notes(struct words *w, struct capture_notes *notes, const tern_trace_record *of)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < notes->n; i++) {
        const tern_trace_record *r = &notes->v[i];
        if (!same_ends(r, of))
            notes->v[kept++] = *r;
        else if (of->conn == 0 || r->conn == of->conn)
            say_record(w, r);
    }
    notes->n = kept;
}

static void say_why_sent(struct words *w, const tern_trace_record *r)
{
    static const char *const how[] = {"Sent", "Sent again", "Sent as a probe"};
    char why[256];
    say(w, "%s: %s.", how[r->a < 3 ? r->a : 0], because(r->cause, why));
}

void capture_say_sent(char text[CAPTURE_TEXT], struct capture_notes *notes, const tern_trace_record *records,
                      uint32_t n, bool whole)
{
    struct words w = {.text = text};
    const tern_trace_record *sent = first_of(records, n, TERN_TRACE_SEG_OUT);
    text[0] = '\0';
    say_connection(&w, sent);
    if (sent) {
        say_notes(&w, notes, sent);
        say_why_sent(&w, sent);
    } else if (whole) {
        say(&w, "Sent: the answer to an echo request [RFC 1122 3.2.2.6].");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (sent && same_ends(&records[i], sent))
            say_record(&w, &records[i]);
        else
            capture_note(notes, &records[i]);
    }
    if (!whole)
        say_incomplete(&w);
}
