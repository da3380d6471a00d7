/* Any answer of another process to `tern ss`: JSON of any content, and text of metrics. It is told in words,
 * as a table, a summary, ports and a live view; nothing of it may be believed. The first byte chooses. */
#include "base/mem.h"
#include "cli/ss_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ss.c has these, and the command besides. */
const char *ss_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

uint64_t ss_number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

/* What is printed goes nowhere, but it is made. Returns what was there before. */
static FILE *quiet(void)
{
    static FILE *nowhere;
    FILE *before = stdout;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    ASSERT(nowhere != NULL);
    stdout = nowhere;
    return before;
}

static void tell(const json_t *answer)
{
    const json_t *info;
    size_t i;
    ss_process p = {.answer = answer, .now_us = ss_number(answer, "now_us")};
    const json_t *list = json_object_get(answer, "connections");
    p.rows = calloc(json_array_size(list) + 1, sizeof *p.rows);
    json_array_foreach(list, i, info)
    {
        ss_row *r = &p.rows[p.n_rows++];
        r->info = info;
        tern_why_say(info, p.now_us, &r->why);
        ASSERT(r->why.verdict != NULL && r->why.owes != NULL);
        ASSERT(strnlen(r->why.text, TERN_WHY_TEXT) < TERN_WHY_TEXT);
    }
    ss_print(&p, false);
    ss_summary(&p);
    ss_ports_print(answer);
    free(p.rows);
}

static void tell_metrics(const char *text)
{
    ss_metrics all = {0};
    ss_metrics_add(&all, text, "fuzz", 1);
    ss_metrics_add(&all, text, "again", 2);
    ss_metrics_print(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 20000)
        return 0;
    FILE *loud = quiet();
    if (data[0] & 1) {
        char *text = malloc(size); /* of exactly its size */
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        tell_metrics(text);
        free(text);
    } else {
        json_t *answer = json_loadb((const char *)data + 1, size - 1, 0, NULL);
        if (answer != NULL)
            tell(answer);
        json_decref(answer);
    }
    stdout = loud;
    return 0;
}
