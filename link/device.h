/* device.h - what the links to devices of the kernel share: the device by its name, and sentences about what
 * went wrong. */
#ifndef LINK_DEVICE_H
#define LINK_DEVICE_H

#include <tern/host.h>

struct problem {
    char *text; /* a sentence goes here; NULL: nowhere */
    size_t len;
};

/* Put the sentence down; returns -err, so that the caller can return it. */
int problem(struct problem *pr, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* An Ethernet device. */
struct device {
    int index;
    uint32_t queues;     /* to receive; 1 when the kernel does not tell */
    tern_link_info info; /* mtu, hw, ethernet */
};

/* Find one. 0, or -errno and a sentence. */
int device_find(const char *name, struct device *out, struct problem *pr);
bool device_exists(const char *name);

#endif
