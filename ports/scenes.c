/* scenes.c - `tern demo --json` without the command around it, for builds that have a C library and nothing
 * else (scripts/everywhere.py: other machines, the single file).
 *
 *     scenes [--seed N] [NAME...]      exit 0: every promise held, 1: one did not, 2: bad usage
 */
#include "sim/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool show(const struct scenario *s, uint64_t seed)
{
    struct play p;
    struct json_lines lines = {0};
    play_run(&p, s, seed);
    play_json(&p, &lines);
    fwrite(lines.text, 1, lines.len, stdout);
    free(lines.text);
    bool ok = p.ok;
    play_free(&p);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    bool ok = true;
    int at = 1;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        seed = strtoull(argv[2], NULL, 10);
        at = 3;
    }
    for (const struct scenario *s = scenarios(); at == argc && s->name != NULL; s++)
        ok &= show(s, seed);
    for (; at < argc; at++) {
        const struct scenario *s = scenario_find(argv[at]);
        if (s == NULL)
            return fprintf(stderr, "scenes: no scenario is called '%s'\n", argv[at]), 2;
        ok &= show(s, seed);
    }
    return ok ? 0 : 1;
}
