/* steer.h - which queue of a TUN device the kernel sends a packet by. */
#ifndef LINK_STEER_H
#define LINK_STEER_H

#include <stdint.h>

/* Have the kernel choose among the queues of a device (a descriptor of one of them) by ports. 0, or -errno:
 * it does not let us, and goes on by its own rule. */
int steer_by_ports(int fd);

/* The queue, of `n`, for segments between these ports. */
uint32_t steer_queue(uint16_t a, uint16_t b, uint32_t n);

#endif
