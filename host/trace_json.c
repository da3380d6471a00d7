/* trace_json.c - see trace_json.h. */
#include "host/trace_json.h"

static void event(struct json_lines *o, const struct story_item *i, const char *ev)
{
    json_line_begin(o);
    json_line_number(o, "t_us", i->t_us);
    json_line_string(o, "ev", ev);
}

static void place(struct json_lines *o, const struct story *s, const struct story_item *i)
{
    json_line_string(o, "scenario", s->scenario);
    if (s->part[0])
        json_line_string(o, "part", s->part);
    if (i->conn != STORY_NOWHERE)
        json_line_number(o, "conn", i->conn + 1);
}

static void set_fate(struct json_lines *o, const struct story_item *i)
{
    if (i->arrival_us == STORY_LOST) {
        json_line_bool(o, "lost", true);
        if (i->lost_why)
            json_line_string(o, "lost_why", i->lost_why);
    } else if (i->arrival_us != STORY_UNKNOWN) {
        json_line_number(o, "arrived_us", i->arrival_us);
    }
    if (i->again)
        json_line_bool(o, "again", true);
    if (i->copy)
        json_line_bool(o, "copy", true);
    if (i->refused)
        json_line_string(o, "refused", tern_cause_name((enum tern_cause)i->refused));
}

static void print_segment(const struct story *s, const struct story_item *i, struct json_lines *o)
{
    char flags[40];
    event(o, i, "segment");
    json_line_string(o, "from", story_from(s, i));
    json_line_string(o, "to", s->name[!i->side]);
    json_line_string(o, "flags", story_flags(i->flags, flags));
    json_line_number(o, "seq", i->seq);
    json_line_number(o, "ack", i->ack);
    json_line_number(o, "len", i->len);
    json_line_number(o, "rseq", i->rseq);
    json_line_number(o, "rack", i->rack);
    json_line_number(o, "win", i->wnd);
    json_line_number(o, "sport", i->port[i->side]);
    json_line_number(o, "dport", i->port[!i->side]);
    if (i->cause) {
        json_line_string(o, "why", tern_cause_text((enum tern_cause)i->cause));
        json_line_string(o, "rule", tern_cause_rule((enum tern_cause)i->cause));
    }
    set_fate(o, i);
    place(o, s, i);
    json_line_end(o);
}

static void print_state(const struct story *s, const struct story_item *i, struct json_lines *o)
{
    event(o, i, "state");
    json_line_string(o, "host", s->name[i->side]);
    json_line_string(o, "from", tern_state_name((enum tern_state)i->from));
    json_line_string(o, "to", tern_state_name((enum tern_state)i->to));
    json_line_string(o, "rule", tern_cause_rule((enum tern_cause)i->cause));
    json_line_string(o, "why", tern_cause_text((enum tern_cause)i->cause));
    json_line_number(o, "port", i->port[i->side]);
    place(o, s, i);
    json_line_end(o);
}

void trace_json_print(const struct story *s, struct json_lines *o)
{
    for (uint32_t k = 0; k < s->n; k++) {
        const struct story_item *i = &s->items[k];
        bool late_copy = i->kind == STORY_ARRIVAL && i->of == STORY_NOWHERE;
        if (i->kind == STORY_SEGMENT || late_copy)
            print_segment(s, i, o);
        else if (i->kind == STORY_STATE)
            print_state(s, i, o);
    }
}

void trace_json_verdict(const char *scenario, bool ok, const char *failed, struct json_lines *o)
{
    json_line_begin(o);
    json_line_string(o, "ev", "verdict");
    json_line_string(o, "scenario", scenario);
    json_line_bool(o, "ok", ok);
    if (!ok && failed != NULL)
        json_line_string(o, "failed", failed);
    json_line_end(o);
}
