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
