/* tcp_options.h - between tcp.c and tcp_options.c. */
#ifndef WIRE_TCP_OPTIONS_H
#define WIRE_TCP_OPTIONS_H

#include "wire.h"

/* Read `len` bytes of options; those that a SYN alone may carry only when `syn`. False: an impossible
 * length. */
bool tcp_opts_parse(const uint8_t *p, uint32_t len, bool syn, struct tcp_opts *o);

/* Write them; returns tcp_opts_len(o, flags). */
uint16_t tcp_opts_emit(uint8_t *p, const struct tcp_opts *o, uint8_t flags);

#endif
