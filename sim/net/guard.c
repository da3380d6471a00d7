/* guard.c - see guard.h. The core's state lies in blocks of memory and nowhere else, so leaving it in the
 * middle of a verb leaves nothing behind but blocks that nobody looks at again. */
#include "guard.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static sigjmp_buf back;
static volatile sig_atomic_t inside;
static volatile uintptr_t trapped_at;

enum { SIGNALS = 4 };
static const int caught[SIGNALS] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS};

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!inside) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    /* of SIGILL the address of the instruction, of the others that of the memory */
    trapped_at = (uintptr_t)info->si_addr | 1;
    siglongjmp(back, 1);
}

uintptr_t guard(void (*act)(void *ctx), void *ctx)
{
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER}, old[SIGNALS];
    for (int i = 0; i < SIGNALS; i++)
        sigaction(caught[i], &trap, &old[i]);
    trapped_at = 0;
    if (sigsetjmp(back, 1) == 0) {
        inside = 1;
        act(ctx);
    }
    inside = 0;
    for (int i = 0; i < SIGNALS; i++)
        sigaction(caught[i], &old[i], NULL);
    return trapped_at;
}

uintptr_t guard_offset(uintptr_t where)
{
    Dl_info info;
    if (dladdr((void *)where, &info) == 0)
        return where;
    return where - (uintptr_t)info.dli_fbase;
}
