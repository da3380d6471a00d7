/* Differential: one input is played in two ways that must not make a difference, and all that can be seen of
 * both (packets, results of calls, bytes, events, verdicts) is compared after each step. The first byte
 * chooses the two ways; the rest is an input of fuzz-stack.
 *
 *   again    in memory that holds other things before, and traced
 *   moved    written down and restored, or doubled, after every few steps: a copy continues as its original
 *   singly   packets handed over in a batch, or each in a call of its own
 *   rest     connections laid to rest whenever they can be, or never
 *   cut      super-segments sent and cut behind the stack, or every segment made by the stack
 *   steps    by the short ways of what is frequent, or all by the ordered lists of the standard: then what
 *            the records say (tern_digest) is compared after each step, too
 *
 * FUZZ_STACK_TRACE=1 in the environment prints what is done in both.
 */
#define FUZZ_HEAD 5
#include "fuzz/stack_mutate.h"
#include "fuzz/stack_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name;
    struct mode a, b;
} twins[] = {
    {"again", {.fill = 0}, {.fill = 0xa5, .traced = true}},
    {"moved", {.no_lending = true, .no_moves = true}, {.no_lending = true, .no_moves = true, .moves = 3}},
    {"moved often",
     {.no_lending = true, .no_failures = true, .no_moves = true},
     {.no_lending = true, .no_failures = true, .no_moves = true, .moves = 1}},
    {"singly",
     {.no_lending = true, .no_failures = true, .no_moves = true},
     {.no_lending = true, .no_failures = true, .no_moves = true, .singly = true}},
    {"rest",
     {.no_lending = true,
      .no_failures = true,
      .no_moves = true,
      .patient = true,
      .sorted = true,
      .rest_ms = 1},
     {.no_lending = true,
      .no_failures = true,
      .no_moves = true,
      .patient = true,
      .sorted = true,
      .rest_ms = UINT32_MAX}},
    {"cut",
     {.no_lending = true, .no_failures = true, .no_moves = true, .cut = true, .sorted = true},
     {.no_lending = true,
      .no_failures = true,
      .no_moves = true,
      .cut = true,
      .sorted = true,
      .no_gso = true}},
    {"steps",
     {.no_failures = true, .digests = true},
     {.no_failures = true, .digests = true, .by_steps = true}},
};

/* What is kept of earlier searches was written for the first six. */
static size_t twin_of(uint8_t first) { return first < 240 ? first % 6u : ARRAY_LEN(twins) - 1; }

static void differ(const struct seen *a, size_t twin)
{
    int at = 0;
    while (at < a->steps && at < z.seen.steps && a->after[at] == z.seen.after[at])
        at++;
    fprintf(stderr, "%s: step %d of %d and %d shows something else\n", twins[twin].name, at, a->steps,
            z.seen.steps);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen first;
    if (size < 1)
        return 0;
    size_t twin = twin_of(data[0]);
    bool good = play(data + 1, size - 1, &twins[twin].a), over = z.given_up;
    first = z.seen;
    if (play(data + 1, size - 1, &twins[twin].b) != good)
        abort();
    if (!good || over || z.given_up)
        return 0;
    if (first.all != z.seen.all || first.steps != z.seen.steps)
        differ(&first, twin);
    return 0;
}
