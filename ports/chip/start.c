/* start.c - a Cortex-M from its reset to chip_main, and how it speaks: by semihosting, so that an emulator or
 * a debugger shows the text (`qemu-system-arm -M mps2-an386 -semihosting`). Flash and RAM are laid out by
 * chip.ld.
 */
#include "ports/chip/chip.h"

#include <stdint.h>

/* Arm's semihosting operations */
enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, WELL = 0x20026, BADLY = 0x20023 };

#define PAINT 0x5a5a5a5au /* a word of the stack that was never used */

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_low[], stack_top[];

void reset(void);
void fault(void);

static void semihosting(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void chip_say(const char *text) { semihosting(SYS_WRITE0, (uintptr_t)text); }

/* A trap of the core, an unaligned access, an address that is not there. */
void fault(void)
{
    chip_say("fault\n");
    semihosting(SYS_EXIT, BADLY);
    for (;;)
        continue;
}

uint32_t chip_stack_used(void)
{
    const uint32_t *low = stack_low;
    while (low < stack_top && *low == PAINT)
        low++;
    return (uint32_t)(stack_top - low) * (uint32_t)sizeof *low;
}

void reset(void)
{
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = bss_start; to < bss_end; to++)
        *to = 0;
    for (uint32_t *at = stack_low; at < (uint32_t *)__builtin_frame_address(0) - 64; at++)
        *at = PAINT;
    semihosting(SYS_EXIT, chip_main() == 0 ? WELL : BADLY);
    fault();
}

/* ARMv7-M B1.5: the stack's top, then the exceptions from reset on. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handler[15])(void);
} vectors = {stack_top,
             {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
              fault, fault}};
