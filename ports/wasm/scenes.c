/* scenes.c - the scenarios of `tern demo` as a WebAssembly module: no import; scenes.mjs is its other half.
 *
 * The caller writes a name into the room for it, plays, and reads the lines from memory.
 */
#include "sim/play.h"

#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

enum { NAME_MAX = 64 };

static char name[NAME_MAX];
static struct json_lines lines;

char *EXPORT(scenes_name)(void);
char *EXPORT(scenes_text)(void);
int EXPORT(scenes_play)(uint64_t seed);

/* Where the name of a scenario is to be written, with a zero byte behind it; 64 bytes. */
char *scenes_name(void) { return name; }

/* What the last scenes_play has written. */
char *scenes_text(void) { return lines.text; }

/* Play the scenario of that name: bytes of JSON, or -1 when there is no such scenario. */
int scenes_play(uint64_t seed)
{
    struct play p;
    const struct scenario *s = scenario_find(name);
    if (s == NULL)
        return -1;
    free(lines.text);
    lines = (struct json_lines){0};
    play_run(&p, s, seed);
    play_json(&p, &lines);
    play_free(&p);
    return (int)lines.len;
}
