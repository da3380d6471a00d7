/* Any text where a person or a file gives one: addresses, prefixes, end points, what a bad path does, ports.
 * What is taken is written again and means the same. The first byte chooses; the second is where a JSON
 * string is cut. */
#include "base/mem.h"
#include "cli/net.h"
#include "host/json_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_ip(const char *text)
{
    tern_ip ip, again;
    char buf[46];
    if (tern_ip_parse(text, &ip) == 0)
        ASSERT(tern_ip_parse(tern_ip_text(&ip, buf), &again) == 0 && memcmp(&ip, &again, sizeof ip) == 0);
}

static void fuzz_cidr(const char *text)
{
    tern_ip ip;
    int len = -1;
    if (tern_cidr_parse(text, &ip, &len) == 0)
        ASSERT(len >= 0 && len <= (tern_ip_is4(&ip) ? 32 : 128));
}

static void fuzz_endpoint(const char *text)
{
    tern_endpoint e, again;
    char buf[96];
    if (tern_endpoint_parse(text, NULL, &e) != 0)
        return;
    ASSERT(e.zone <= 15);
    ASSERT(tern_endpoint_parse(tern_endpoint_text(&e, NULL, buf), NULL, &again) == 0);
    ASSERT(memcmp(&e.ip, &again.ip, sizeof e.ip) == 0 && e.port == again.port && e.zone == again.zone);
}

static void fuzz_impair(const char *text)
{
    tern_impair_config c;
    char err[160];
    const char *wrong = impair_parse(text, &c, err);
    ASSERT(wrong == NULL || (wrong == err && strlen(err) < sizeof err));
    if (wrong == NULL) {
        ASSERT(c.loss_ppm <= 1000000 && c.duplicate_ppm <= 1000000 && c.corrupt_ppm <= 1000000);
        ASSERT(c.reorder_ppm <= 1000000 && c.ce_ppm <= 1000000 && c.delay_us <= 60000000);
        ASSERT(c.reorder_min <= c.reorder_max && c.reorder_max <= 1000);
    }
}

/* A line that we write is read by others' JSON reader, with the same text in it (if it is UTF-8). */
static void fuzz_json(const char *text)
{
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_string(&l, "text", text);
    json_line_number(&l, "n", strlen(text));
    json_line_bool(&l, "yes", true);
    json_line_end(&l);
    json_t *o = json_loadb(l.text, l.len, 0, NULL), *utf8 = json_string(text);
    ASSERT((o != NULL) == (utf8 != NULL));
    if (o != NULL) {
        ASSERT(strcmp(json_string_value(json_object_get(o, "text")), text) == 0);
        ASSERT((size_t)json_integer_value(json_object_get(o, "n")) == strlen(text));
    }
    json_decref(o);
    json_decref(utf8);
    free(l.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const char *) = {fuzz_ip, fuzz_cidr, fuzz_endpoint, fuzz_impair, fuzz_json};
    if (size < 1 || size > 2000)
        return 0;
    char *text = malloc(size); /* of exactly its size */
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    kinds[data[0] % ARRAY_LEN(kinds)](text);
    free(text);
    return 0;
}
