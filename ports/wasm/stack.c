/* stack.c - what a program in JavaScript needs beside the calls of the public headers, which the module
 * exports as they are: memory for a stack, and packets as plain bytes. examples/wasm/tern.mjs is its other
 * half.
 *
 * Bytes go through one room in the module's memory: the seed, addresses, packets, data. Nothing is imported.
 */
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>

#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

enum { ROOM = 65536 };

static uint8_t bytes[ROOM];

uint8_t *EXPORT(room)(void);
tern *EXPORT(create)(uint32_t size);
void EXPORT(destroy)(tern *t);
int EXPORT(address)(tern *t, uint32_t mtu, int prefix_len);
int EXPORT(receive)(tern *t, uint64_t now, uint32_t len);
int EXPORT(transmit)(tern *t, uint64_t now);
int EXPORT(connect)(tern *t, uint32_t port, tern_handle *out);
int EXPORT(listen)(tern *t, uint32_t port, tern_handle *out);
int EXPORT(state)(tern *t, tern_handle h);

/* 64 KiB for bytes in both directions. */
uint8_t *room(void) { return bytes; }

/* A stack of `size` bytes; its seed, 32 bytes, lies in the room. NULL: too small. */
tern *create(uint32_t size)
{
    tern *t;
    tern_config config = {0};
    void *memory = aligned_alloc(64, size);
    memcpy(config.seed, bytes, sizeof config.seed);
    if (tern_create(&t, &config, memory, size) == 0)
        return t;
    free(memory);
    return NULL;
}

/* The stack lies at the start of its memory. */
void destroy(tern *t)
{
    tern_destroy(t);
    free(t);
}

/* A link with the address (16 bytes) in the room. Its id, or a negative error. */
int address(tern *t, uint32_t mtu, int prefix_len)
{
    tern_ip ip;
    memcpy(&ip, bytes, sizeof ip);
    int link = tern_link_add(t, &(tern_link_info){.mtu = mtu});
    int result = link < 0 ? link : tern_addr_add(t, link, &ip, prefix_len);
    return result < 0 ? result : link;
}

/* The packet in the room has arrived at the first link. TERN_TAKEN, or what else became of it. */
int receive(tern *t, uint64_t now, uint32_t len)
{
    tern_rx_packet p = {.data = bytes, .len = len, .link = 1};
    tern_rx(t, now, &p, 1);
    return p.verdict;
}

/* The next packet to be sent, into the room: its length; 0 = none now. */
int transmit(tern *t, uint64_t now)
{
    tern_tx_packet p;
    return tern_tx(t, now, &p, 1) == 1 ? (int)tern_tx_flatten(&p, bytes) : 0;
}

/* tern_connect to the address in the room; tern_listen at any address. */
int connect(tern *t, uint32_t port, tern_handle *out)
{
    tern_endpoint remote = {.port = (uint16_t)port};
    memcpy(&remote.ip, bytes, sizeof remote.ip);
    return tern_connect(t, NULL, &remote, out);
}

int listen(tern *t, uint32_t port, tern_handle *out)
{
    return tern_listen(t, &(tern_endpoint){.port = (uint16_t)port}, 0, out);
}

/* enum tern_state, or a negative error. */
int state(tern *t, tern_handle h)
{
    tern_info info;
    int result = tern_get_info(t, h, &info);
    return result < 0 ? result : info.state;
}
