/* trace_text.c - see trace_text.h. */
#include "host/trace_text.h"

static void put_cause(FILE *out, uint16_t cause)
{
    if (cause)
        fprintf(out, " | %s [%s]", tern_cause_text((enum tern_cause)cause),
                tern_cause_rule((enum tern_cause)cause));
}

static void print_segment(const struct story *s, const struct story_item *i, FILE *out)
{
    char text[120];
    fprintf(out, "%s > %s %s win %u", story_from(s, i), s->name[!i->side],
            story_segment_text(s, i, text, sizeof text), i->wnd);
    if (i->arrival_us == STORY_LOST)
        fprintf(out, " LOST (%s)", i->lost_why ? i->lost_why : "lost");
    put_cause(out, i->cause);
    if (i->refused)
        fprintf(out, " | refused: %s [%s]", tern_cause_text((enum tern_cause)i->refused),
                tern_cause_rule((enum tern_cause)i->refused));
}

static void print_state(const struct story *s, const struct story_item *i, FILE *out)
{
    fprintf(out, "%s %s > %s", s->name[i->side], tern_state_name((enum tern_state)i->from),
            tern_state_name((enum tern_state)i->to));
    put_cause(out, i->cause);
}

void trace_text_print(const struct story *s, FILE *out)
{
    for (uint32_t k = 0; k < s->n; k++) {
        const struct story_item *i = &s->items[k];
        if (i->kind == STORY_ARRIVAL && i->of != STORY_NOWHERE)
            continue;
        uint64_t t = i->t_us - s->start_us;
        fprintf(out, "%llu.%06llu ", (unsigned long long)(t / 1000000), (unsigned long long)(t % 1000000));
        if (i->kind == STORY_STATE)
            print_state(s, i, out);
        else if (i->kind == STORY_NOTE)
            fprintf(out, "# %s", i->text);
        else
            print_segment(s, i, out);
        fputc('\n', out);
    }
}

/* --- records --------------------------------------------------------------------------------- */

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {
        "NONE",
#define TRACE_EVENT(name, text) #name,
#include <tern/events.def>
#undef TRACE_EVENT
    };
    return kind < TERN_TRACE_KINDS ? names[kind] : "?";
}

const char *trace_text_record(const tern_trace_record *r, char *buf, size_t len)
{
    char flags[40];
    unsigned long long t = r->t_us, conn = r->conn, a = r->a, b = r->b, c = r->c;
    const char *why = tern_cause_text((enum tern_cause)r->cause),
               *rule = tern_cause_rule((enum tern_cause)r->cause);
    int n = snprintf(buf, len, "%llu.%06llu #%llu %u>%u %s", t / 1000000, t % 1000000, conn, r->local_port,
                     r->remote_port, kind_name(r->kind));
    size_t left = len - (size_t)n;
    bool out = r->kind == TERN_TRACE_SEG_OUT;
    if (out || r->kind == TERN_TRACE_SEG_IN || r->kind == TERN_TRACE_DROP)
        n += snprintf(buf + n, left, " %s seq %u ack %u len %u win %u", story_flags(r->tcp_flags, flags),
                      r->seq - (out ? r->iss : r->irs), r->ack - (out ? r->irs : r->iss), r->len, r->wnd);
    else if (r->kind == TERN_TRACE_STATE)
        n += snprintf(buf + n, left, " %s > %s", tern_state_name((enum tern_state)r->state),
                      tern_state_name((enum tern_state)r->state_to));
    else
        n += snprintf(buf + n, left, " %llu %llu %llu", a, b, c);
    if (r->cause && n > 0 && (size_t)n < len)
        snprintf(buf + n, len - (size_t)n, " | %s [%s]", why, rule);
    return buf;
}
