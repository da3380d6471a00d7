/* trace_json.c - see trace_json.h. */
#include "host/trace_json.h"

static void set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
}

static void set_number(json_t *o, const char *key, uint64_t value)
{
    set(o, key, json_integer((json_int_t)value));
}

/* One line; the object is freed. */
static void print(json_t *o, FILE *out)
{
    json_dumpf(o, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(o);
}

static json_t *event(const struct story_item *i, const char *ev)
{
    json_t *o = json_object();
    set_number(o, "t_us", i->t_us);
    set(o, "ev", json_string(ev));
    return o;
}

static void place(json_t *o, const struct story *s, const struct story_item *i)
{
    set(o, "scenario", json_string(s->scenario));
    if (s->part[0])
        set(o, "part", json_string(s->part));
    if (i->conn != STORY_NOWHERE)
        set_number(o, "conn", i->conn + 1);
}

static void set_fate(json_t *o, const struct story_item *i)
{
    if (i->arrival_us == STORY_LOST) {
        set(o, "lost", json_true());
        if (i->lost_why)
            set(o, "lost_why", json_string(i->lost_why));
    } else if (i->arrival_us != STORY_UNKNOWN) {
        set_number(o, "arrived_us", i->arrival_us);
    }
    if (i->again)
        set(o, "again", json_true());
    if (i->copy)
        set(o, "copy", json_true());
    if (i->refused)
        set(o, "refused", json_string(tern_cause_name((enum tern_cause)i->refused)));
}

static void print_segment(const struct story *s, const struct story_item *i, FILE *out)
{
    char flags[40];
    json_t *o = event(i, "segment");
    set(o, "from", json_string(story_from(s, i)));
    set(o, "to", json_string(s->name[!i->side]));
    set(o, "flags", json_string(story_flags(i->flags, flags)));
    set_number(o, "seq", i->seq);
    set_number(o, "ack", i->ack);
    set_number(o, "len", i->len);
    set_number(o, "rseq", i->rseq);
    set_number(o, "rack", i->rack);
    set_number(o, "win", i->wnd);
    set_number(o, "sport", i->port[i->side]);
    set_number(o, "dport", i->port[!i->side]);
    if (i->cause) {
        set(o, "why", json_string(tern_cause_text((enum tern_cause)i->cause)));
        set(o, "rule", json_string(tern_cause_rule((enum tern_cause)i->cause)));
    }
    set_fate(o, i);
    place(o, s, i);
    print(o, out);
}

static void print_state(const struct story *s, const struct story_item *i, FILE *out)
{
    json_t *o = event(i, "state");
    set(o, "host", json_string(s->name[i->side]));
    set(o, "from", json_string(tern_state_name((enum tern_state)i->from)));
    set(o, "to", json_string(tern_state_name((enum tern_state)i->to)));
    set(o, "rule", json_string(tern_cause_rule((enum tern_cause)i->cause)));
    set(o, "why", json_string(tern_cause_text((enum tern_cause)i->cause)));
    set_number(o, "port", i->port[i->side]);
    place(o, s, i);
    print(o, out);
}

void trace_json_print(const struct story *s, FILE *out)
{
    for (uint32_t k = 0; k < s->n; k++) {
        const struct story_item *i = &s->items[k];
        bool late_copy = i->kind == STORY_ARRIVAL && i->of == STORY_NOWHERE;
        if (i->kind == STORY_SEGMENT || late_copy)
            print_segment(s, i, out);
        else if (i->kind == STORY_STATE)
            print_state(s, i, out);
    }
}

void trace_json_verdict(const char *scenario, bool ok, const char *failed, FILE *out)
{
    json_t *o = json_object();
    set(o, "ev", json_string("verdict"));
    set(o, "scenario", json_string(scenario));
    set(o, "ok", json_boolean(ok));
    if (!ok && failed != NULL)
        set(o, "failed", json_string(failed));
    print(o, out);
}
