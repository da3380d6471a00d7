/* trap.c - see trap.h. The stack holds no lock and allocates nothing, so leaving it in the middle costs
 * nothing but its state, which a mark puts back. */
#include "trap.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

static const int signals[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static struct sigaction before[SIGNALS];
static int nested;
static _Thread_local sigjmp_buf *back;
static _Thread_local void *trapped_at;

static void caught(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (back == NULL) { /* not in a move: it is ours, and ends us */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    trapped_at = info->si_addr;
    siglongjmp(*back, 1);
}

void trap_begin(void)
{
    struct sigaction a;
    if (nested++ > 0)
        return;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = caught;
    a.sa_flags = SA_SIGINFO | SA_NODEFER;
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &a, &before[i]);
}

void trap_end(void)
{
    if (--nested > 0)
        return;
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
}

static uint64_t offset_of(const void *address)
{
    Dl_info where;
    if (dladdr(address, &where) == 0)
        return 0;
    return (uint64_t)((const char *)address - (const char *)where.dli_fbase);
}

bool trap_move(struct duo *d, uint16_t move, uint64_t *where)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0) {
        back = NULL;
        d->scene.fault = FAULT_TRAP;
        *where = offset_of(trapped_at);
        return true;
    }
    back = &here;
    bool made = move_make(d, move);
    back = NULL;
    return made;
}
