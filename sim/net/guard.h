/* guard.h - a stack that traps does not end the process: the world that it lived in is given up, and can be
 * played again and shrunk. */
#ifndef SIM_NET_GUARD_H
#define SIM_NET_GUARD_H

#include <stdint.h>

/* Do it. 0, or where in the program it trapped (an address in the running image). Not for nesting. */
uintptr_t guard(void (*act)(void *ctx), void *ctx);

/* Such an address as an offset into the program's file, for addr2line. */
uintptr_t guard_offset(uintptr_t where);

#endif
