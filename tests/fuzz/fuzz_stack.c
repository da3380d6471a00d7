/* Two whole stacks, their programs and an attacker: stack_world.h.
 *
 * In the environment, FUZZ_STACK_TRACE=1 prints what is done; FUZZ_STACK_REACH=1 prints, after all inputs,
 * which edges of the state table, refusals and reasons for sending they have come to, and which not;
 * FUZZ_STACK_SEEN=1 prints one number for all that could be seen, with memory in plenty: every build must
 * print the same (check_builds.py).
 */
#include "fuzz/stack_mutate.h"
#include "fuzz/stack_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(const char *kind, const char *name, uint64_t n, uint32_t *reached)
{
    *reached += n != 0;
    fprintf(stderr, "%-8s %-28s %llu\n", kind, name, (unsigned long long)n);
}

static void tell_reach(void)
{
    uint32_t taken = 0, refused = 0, sent = 0;
    char name[100];
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        snprintf(name, sizeof name, "%s %s %s", tern_cause_name(edges[i].cause),
                 tern_state_name(edges[i].from), tern_state_name(edges[i].to));
        tell("edge", name, reach.edge[i], &taken);
    }
    for (uint32_t i = TERN_C_IP_MALFORMED; i <= TERN_C_TEXT_IGNORED; i++)
        tell("refused", tern_cause_name(i), reach.refused[i], &refused);
    for (uint32_t i = TERN_C_SEND_SYN; i <= TERN_C_SEND_LIMITED; i++)
        tell("sent", tern_cause_name(i), reach.sent[i], &sent);
    fprintf(stderr, "reach: %u of %zu edges, %u of %u refusals, %u of %u reasons to send\n", taken,
            ARRAY_LEN(edges), refused, TERN_C_TEXT_IGNORED - TERN_C_IP_MALFORMED + 1, sent,
            TERN_C_SEND_LIMITED - TERN_C_SEND_SYN + 1);
}

static uint64_t seen;

static void tell_seen(void) { fprintf(stderr, "seen: %016llx\n", (unsigned long long)seen); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mode plain = {.traced = true},
                             plenty = {.traced = true, .no_lending = true, .no_failures = true};
    static const struct mode *mode;
    if (mode == NULL) {
        mode = getenv("FUZZ_STACK_SEEN") != NULL ? &plenty : &plain;
        if (mode == &plenty)
            atexit(tell_seen);
        if (getenv("FUZZ_STACK_REACH") != NULL)
            atexit(tell_reach);
    }
    if (play(data, size, mode))
        seen = (seen ^ z.seen.all) * 0x100000001b3u; /* FNV's prime */
    return 0;
}
