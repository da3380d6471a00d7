/* Images of a stack that are damaged on purpose. The input says how: bytes changed, cut off, put in, or the
 * input is itself the image. Damage is always found. When the sum is made right again behind our back, which
 * damage cannot do, the head and the frame of the arena are still not believed when they lead out of it. */
#include "base/image.h"
#include "tcp/tcp.h"

#include <stdlib.h>
#include <tern/snapshot.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 1 << 20, SUM_AT = 32, HEAD = 56, FRAME = HEAD + sizeof(struct arena) + 32 };

static _Alignas(16) uint8_t block[BLOCK], other[BLOCK];
static uint8_t *good;
static size_t good_len;

/* A stack with a listener, two connections that open, bytes that wait. */
static void make_good(void)
{
    tern *t;
    tern_handle h;
    tern_config cfg = {.page_size = 2048};
    tern_link_info link = {.mtu = 1500};
    tern_ip ip = tern_ip4(10, 0, 0, 1);
    tern_endpoint at = {.ip = ip, .port = 80}, to = {.ip = tern_ip4(10, 0, 0, 2), .port = 7};
    ASSERT(tern_create(&t, &cfg, block, BLOCK) == 0 && tern_link_add(t, &link) == 1);
    ASSERT(tern_addr_add(t, 1, &ip, 24) == 0 && tern_listen(t, &at, 4, &h) == 0);
    for (int i = 0; i < 2; i++)
        ASSERT(tern_connect(t, NULL, &to, &h) == 0 && tern_send(t, h, block, 5000, 0) == 5000);
    ASSERT(tern_close(t, h) == 0); /* leaves free pages behind */
    good_len = tern_snapshot_size(t);
    good = malloc(good_len);
    ASSERT(good != NULL && tern_snapshot(t, good, good_len) == 0);
}

static int restore(const uint8_t *image, size_t len)
{
    tern *t;
    int e = tern_restore(&t, image, len, other, BLOCK, NULL, 0);
    if (e == 0)
        ASSERT(tern_snapshot_size(t) == good_len);
    return e;
}

static uint32_t take(const uint8_t **at, const uint8_t *end)
{
    uint32_t v = 0;
    for (int i = 0; i < 3; i++)
        v = v << 8 | (*at < end ? *(*at)++ : 0);
    return v;
}

/* Whether a change somewhere in the first `within` bytes was a change. */
static bool change(uint8_t *image, size_t within, const uint8_t **at, const uint8_t *end)
{
    uint32_t where = take(at, end) % (uint32_t)within;
    uint8_t was = image[where];
    image[where] ^= *at < end ? *(*at)++ : 1;
    return image[where] != was;
}

static void mend_sum(uint8_t *image, size_t len)
{
    uint64_t sum = image_sum(image + SUM_AT + 8, len - SUM_AT - 8);
    memcpy(image + SUM_AT, &sum, sizeof sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data, *end = data + size;
    if (good == NULL)
        make_good();
    ASSERT(restore(data, size) != 0 || size >= good_len);
    uint8_t *image = malloc(good_len);
    ASSERT(image != NULL);
    memcpy(image, good, good_len);
    size_t len = good_len;
    uint32_t how = take(&at, end);
    bool changed = false, mend = how & 1;
    if (how & 2)
        len = take(&at, end) % good_len;
    size_t within = mend && FRAME < len ? FRAME : len;
    for (uint32_t i = 0; at < end && i < 8 && within > 0; i++)
        changed |= change(image, within, &at, end);
    if (mend && len > HEAD) {
        tern *t;
        mend_sum(image, len);
        (void)tern_restore(&t, image, len, other, BLOCK, NULL, 0); /* any answer, but no crash */
    } else if (changed || len < good_len) {
        int e = restore(image, len);
        ASSERT(e == -TERN_ENOEXEC || e == -TERN_EPROTONOSUPPORT || e == -TERN_EOPNOTSUPP ||
               e == -TERN_ENODATA || e == -TERN_EBADMSG || e == 0);
        ASSERT(e != 0 || memcmp(image, good, good_len) == 0);
    }
    free(image);
    return 0;
}
