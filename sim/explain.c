/* explain.c - see explain.h. */
#include "explain.h"

#include "host/capture_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What both hosts say about one packet; NULL: nothing. */
struct said {
    char *sent, *received;
};

struct explain {
    struct capture_notes notes[HOSTS];
    LIST(tern_trace_record) fresh;
    LIST(struct said) packets; /* by index in world.wire */
};

void explain_begin(struct world *w) { w->explain = calloc(1, sizeof *w->explain); }

void explain_free(struct world *w)
{
    struct explain *x = w->explain;
    if (x == NULL)
        return;
    for (uint32_t i = 0; i < x->packets.n; i++) {
        free(x->packets.v[i].sent);
        free(x->packets.v[i].received);
    }
    free(x->packets.v);
    free(x->fresh.v);
    free(x);
    w->explain = NULL;
}

void explain_record(struct world *w, const tern_trace_record *r)
{
    if (w->explain != NULL)
        *(tern_trace_record *)LIST_ADD(w->explain->fresh) = *r;
}

static struct said *said_of(struct explain *x, uint32_t index)
{
    while (x->packets.n <= index)
        LIST_ADD(x->packets);
    return &x->packets.v[index];
}

void explain_sent(struct world *w, int host, uint32_t index)
{
    char text[CAPTURE_TEXT];
    struct explain *x = w->explain;
    if (x == NULL)
        return;
    capture_say_sent(text, &x->notes[host], x->fresh.v, x->fresh.n, true);
    said_of(x, index)->sent = strdup(text);
    x->fresh.n = 0;
}

void explain_received(struct world *w, uint32_t index, const tern_rx_packet *rx)
{
    char text[CAPTURE_TEXT];
    struct explain *x = w->explain;
    if (x == NULL)
        return;
    capture_say_received(text, rx, x->fresh.v, x->fresh.n, true);
    said_of(x, index)->received = strdup(text);
    x->fresh.n = 0;
}

void explain_between(struct world *w, int host)
{
    struct explain *x = w->explain;
    if (x == NULL)
        return;
    for (uint32_t i = 0; i < x->fresh.n; i++)
        capture_note(&x->notes[host], &x->fresh.v[i]);
    x->fresh.n = 0;
}

/* --- writing ------------------------------------------------------------------------------------ */

static const char *name_of(const struct world *w, int host)
{
    return host == OUTSIDE ? "outside" : w->host[host].name;
}

/* "A: Connection 1 in SYN_SENT. Sent: ... B, after 47.7 ms: Taken. ..." */
static void comment(const struct world *w, uint32_t index, char *text, size_t len)
{
    static const struct said nothing;
    const struct wire *p = &w->wire.v[index];
    const struct explain *x = w->explain;
    const struct said *s = index < x->packets.n ? &x->packets.v[index] : &nothing;
    uint64_t took = p->due_us - p->sent_us;
    int n;
    if (p->forged)
        n = snprintf(text, len, "Made by the scenario, not by a stack.");
    else if (p->copy)
        n = snprintf(text, len, "A second copy, made on the way.");
    else
        n = snprintf(text, len, "%s: %s", name_of(w, p->from), s->sent ? s->sent : "Sent.");
    if (n < 0 || (size_t)n >= len)
        return;
    if (p->fate == LOST)
        snprintf(text + n, len - (size_t)n, " Lost: %s.", p->lost_why ? p->lost_why : "on the way");
    else if (p->fate == ARRIVED)
        snprintf(text + n, len - (size_t)n, " %s, after %llu.%llu ms: %s", name_of(w, p->to),
                 (unsigned long long)(took / 1000), (unsigned long long)(took / 100 % 10),
                 s->received ? s->received : "Nobody is there.");
}

void explain_write(const struct world *w, const char *name, const char *title, uint64_t shift_us,
                   uint32_t interface, struct pcapng *out)
{
    char text[2 * CAPTURE_TEXT + 200], hosts[200], a[46], b[46];
    snprintf(hosts, sizeof hosts, "A is %s, B is %s. Each packet once, at the time it was sent.",
             tern_ip_text(&w->host[A].ip, a), tern_ip_text(&w->host[B].ip, b));
    pcapng_interface(out, name, title, hosts, false);
    for (uint32_t i = 0; i < w->wire.n; i++) {
        const struct wire *p = &w->wire.v[i];
        comment(w, i, text, sizeof text);
        pcapng_packet(out, &(struct pcapng_packet){
                               .interface = interface,
                               .t_us = p->sent_us + shift_us,
                               .data = p->bytes,
                               .len = p->len,
                               .whole = p->len,
                               .comment = text,
                           });
    }
}
