/* check.h - runs a packetdrill script against one tern stack, in memory and on a virtual clock.
 *
 *     script text ──▶ parse.c ──▶ run.c: events in their order
 *                                   │ the program's calls  ──▶ call.c, desc.c ──▶ tern's calls
 *                                   │ the peer's packets   ──▶ flow.c, packet.c ──▶ tern_rx
 *                                   │ what tern sends      ──▶ match.c: is it what the script expects?
 *                                   ▼ assertions           ──▶ code.c
 *                                 check_result: passed, failed, skipped, or no script at all
 *
 * The language is described in docs/CHECK.md. Nothing is kept from one script to the next, and the same text
 * gives the same result, bit for bit.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum check_verdict {
    CHECK_PASSED,
    CHECK_FAILED,  /* tern did something else */
    CHECK_SKIPPED, /* the script uses what tern has not */
    CHECK_WRONG,   /* it is no script: line and column say where */
};

struct check_result {
    enum check_verdict verdict;
    int line, column;     /* where it ended; 0 = at its end */
    char *message;        /* why; NULL when passed. All texts are owned */
    char *script_line;    /* the line of the script, trimmed; NULL */
    char *expected, *got; /* side by side; NULL where they do not apply */
    char *ladder;         /* what happened until then; NULL when it was not asked for or nothing happened */
    uint32_t events;      /* of the script, that were performed */
    uint32_t sent, received; /* segments of tern */
    uint64_t virtual_us;  /* time that passed in the script */
};

/* When the ladder is wanted, beside the verdict. */
enum check_ladder { CHECK_LADDER_NEVER, CHECK_LADDER_FAILED, CHECK_LADDER_ALWAYS };

struct check_options {
    const char *const *settings; /* "mtu=1400", as if each stood in front of the script, behind two dashes;
                                    ends with NULL; NULL = none */
    enum check_ladder ladder;
    bool color;      /* of the ladder */
    bool catch_trap; /* a broken invariant of tern fails the script, and does not end the process; for one
                        thread only */
};

/* Run the script `text` (it need not end with a zero). The result is to be freed. */
void check_run_buffer(const char *text, size_t len, const struct check_options *options,
                      struct check_result *out);
/* Whether --NAME=VALUE is an option of scripts that can be given for all of them. */
bool check_is_setting(const char *name, size_t len);
void check_result_free(struct check_result *r);

#endif
