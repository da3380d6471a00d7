/* Trace records of any content, for everything that prints them: text, JSON lines, ladders, pictures, the
 * comments of captures; and the captures themselves, whose blocks are read again here. (tern reads no capture
 * files: this reader is the test's own.)
 *
 *   0 how it is printed   1 how it is captured   then records: 16 bytes each, spread over the fields
 */
#include "base/mem.h"
#include "host/capture_text.h"
#include "host/ladder.h"
#include "host/ladder_svg.h"
#include "host/pcapng.h"
#include "host/trace_json.h"
#include "host/trace_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 64, PART = 16 };

static uint32_t word(const uint8_t *p) { return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]; }

/* Small numbers give sensible records, others any. */
static tern_trace_record read_record(const uint8_t *p, uint64_t t)
{
    bool wild = p[0] & 128;
    tern_trace_record r = {.t_us = t, .conn = p[1] & 3, .kind = (uint8_t)(p[0] & 31), .state = p[2]};
    r.state_to = p[3];
    r.tcp_flags = p[4];
    r.cause = wild ? (uint16_t)word(p + 5) : p[6];
    r.seq = word(p + 7), r.ack = word(p + 8), r.len = wild ? word(p + 9) << 8 : p[9], r.wnd = word(p + 10);
    r.iss = p[1] & 64 ? word(p + 11) : 0, r.irs = p[1] & 32 ? word(p + 12) : 0;
    r.local_port = p[11], r.remote_port = p[12];
    r.local = p[1] & 16 ? (tern_ip){{0x20, 1, [15] = p[13]}} : tern_ip4(192, 0, 2, p[13]);
    r.remote = r.local;
    r.remote.b[15] ^= p[14];
    r.a = wild ? (uint64_t)word(p + 13) << 40 : p[13] & 7u, r.b = wild ? UINT64_MAX - p[14] : p[14];
    r.c = p[15];
    r.mss = p[15], r.wscale = p[14], r.n_sack = p[15] & 7;
    return r;
}

/* --- text ----------------------------------------------------------------------------------------- */

static void check_json(const struct story *s)
{
    struct json_lines l = {0};
    trace_json_print(s, &l);
    trace_json_verdict("fuzz", false, s->title, &l);
    for (char *at = l.text, *end; at != NULL && *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        ASSERT(end != NULL);
        json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
        ASSERT(json_is_object(o));
        json_decref(o);
    }
    free(l.text);
}

static void print_story(const tern_trace_record *r, uint32_t n, uint8_t how)
{
    struct story s;
    const struct story *one = &s;
    story_init(&s, "fuzz", how & 1 ? "part" : "", "any \"records\" & <such>");
    story_name(&s, STORY_LEFT, "A", "192.0.2.1");
    story_name(&s, STORY_RIGHT, "B", how & 2 ? "192.0.2.2" : "");
    story_from_trace(&s, r, n, how >> 6);
    if (how & 4)
        story_note(&s, STORY_BOTH, n > 0 ? r[0].t_us : 0, "a note of some words, long enough to be wrapped");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (how & 8)
        story_fold(&s, 4);
    ladder_print(&s, out, how & 16);
    trace_text_print(&s, out);
    ladder_svg_print(&one, 1, out);
    fclose(out);
    ASSERT(text != NULL && strlen(text) == len); /* no zero byte in it */
    free(text);
    check_json(&s);
    story_free(&s);
}

/* --- captures ------------------------------------------------------------------------------------- */

static uint32_t get(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* draft-ietf-opsawg-pcapng 3.1: whole blocks, each with its length at both ends, options that end in them. */
static uint32_t read_blocks(const struct pcapng *c)
{
    uint32_t n = 0;
    for (size_t at = 0; at < c->len; n++) {
        ASSERT(c->len - at >= 12);
        uint32_t len = get(c->bytes + at + 4);
        ASSERT(len % 4 == 0 && len >= 12 && len <= c->len - at && get(c->bytes + at + len - 4) == len);
        if (get(c->bytes + at) == 6) { /* an enhanced packet */
            uint32_t kept = get(c->bytes + at + 20), o = 28 + ((kept + 3) & ~3u);
            for (uint32_t code = 1; code != 0; o += 4 + (((get(c->bytes + at + o) >> 16) + 3) & ~3u)) {
                ASSERT(o + 4 <= len - 4);
                code = get(c->bytes + at + o) & 0xffff;
            }
            ASSERT(o == len - 4);
        }
        at += len;
    }
    return n;
}

static void capture(const tern_trace_record *r, uint32_t n, uint8_t how)
{
    static struct capture_notes notes;
    struct pcapng c = {0};
    char text[CAPTURE_TEXT];
    uint32_t packets = 0;
    memset(&notes, 0, sizeof notes);
    pcapng_section(&c, "tern", how & 1 ? "a comment" : NULL);
    pcapng_interface(&c, "tern0", NULL, "", (how & 2) != 0);
    for (uint32_t i = 0; i < n; i += 1 + (how & 3), packets++) {
        uint32_t k = min_u32(n - i, 1 + (how & 7));
        tern_rx_packet rx = {.verdict = r[i].state % 4, .cause = r[i].cause};
        if (r[i].kind & 1)
            capture_say_received(text, &rx, r + i, k, how & 8);
        else
            capture_say_sent(text, &notes, r + i, k, how & 8);
        ASSERT(strnlen(text, sizeof text) < sizeof text);
        struct pcapng_packet p = {.t_us = r[i].t_us, .data = (const uint8_t *)text, .comment = text};
        p.len = (uint32_t)strlen(text) / (1 + (how & 1)), p.whole = p.len + 1, p.way = how % 3,
        p.lost = how & 4;
        pcapng_packet(&c, &p);
    }
    ASSERT(!c.failed && read_blocks(&c) == 2 + packets);
    pcapng_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static tern_trace_record r[RECORDS];
    uint32_t n = 0;
    uint64_t t = 0;
    if (size < 2)
        return 0;
    for (size_t at = 2; at + PART <= size && n < RECORDS; at += PART, n++) {
        t += data[at] & 64 ? (uint64_t)word(data + at + 13) << (data[at + 1] & 31) : data[at + 15];
        r[n] = read_record(data + at, t);
    }
    print_story(r, n, data[0]);
    capture(r, n, data[1]);
    return 0;
}
