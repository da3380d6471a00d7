/* why.h - the state of a connection in words: why it is as it is, and who has to do what.
 *
 * One place makes these sentences, for `tern ss` and whoever else asks. Input is what the control socket
 * gives about one connection (control.h, INFO; info_json.h makes it from a tern_info), so it works for
 * another process' connections too.
 */
#ifndef HOST_WHY_H
#define HOST_WHY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { TERN_WHY_TEXT = 1024 };

typedef struct tern_why {
    const char *
        /* one word: "healthy", "waiting", "stuck", "forgotten", "unwatched", "blocked", "lossy", "over" */
        verdict;
    const char
        *owes; /* who has to act next: "this program", "the other side", "the network", "time", "nobody" */
    char text[TERN_WHY_TEXT]; /* one to four sentences */
} tern_why;

/* Say why. `now_us`: of the same clock as the times in `info`. */
void tern_why_say(const json_t *info, uint64_t now_us, tern_why *out);

/* "250 ms", "3.2 s", "14 min", "2 h 5 min", "3 days". */
const char *tern_why_span(uint64_t us, char buf[32]);

/* "1 byte", "1,234 bytes", "5.2 MiB". */
const char *tern_why_bytes(uint64_t n, char buf[32]);

#endif
