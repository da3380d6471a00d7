/* JSON lines: what they say, judged by a JSON library. */
#include "host/json_line.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

static void every_kind_of_member(void **state)
{
    (void)state;
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_number(&l, "none", 0);
    json_line_number(&l, "most", UINT64_MAX);
    json_line_bool(&l, "yes", true);
    json_line_bool(&l, "no", false);
    json_line_string(&l, "empty", "");
    json_line_end(&l);
    json_line_begin(&l);
    json_line_end(&l);
    assert_string_equal(
        l.text, "{\"none\":0,\"most\":18446744073709551615,\"yes\":true,\"no\":false,\"empty\":\"\"}\n{}\n");
    assert_int_equal(l.len, strlen(l.text));
    free(l.text);
}

/* Each character that a string can hold comes back from a parser, and is written as the library writes it. */
static void every_character(void **state)
{
    (void)state;
    for (int c = 1; c < 128; c++) {
        struct json_lines l = {0};
        char value[] = {'<', (char)c, '>', 0};
        json_line_begin(&l);
        json_line_string(&l, "c", value);
        json_line_end(&l);
        json_t *o = json_loads(l.text, 0, NULL);
        assert_non_null(o);
        assert_string_equal(json_string_value(json_object_get(o, "c")), value);
        char *same = json_dumps(o, JSON_COMPACT);
        l.text[l.len - 1] = 0;
        if (c >= 0x20 || strchr("\b\f\n\r\t", c) != NULL)
            assert_string_equal(l.text, same);
        free(same);
        json_decref(o);
        free(l.text);
    }
}

static void beyond_ascii(void **state)
{
    (void)state;
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_string(&l, "way", "A → B, \xf0\x9f\x90\xa6");
    json_line_end(&l);
    assert_string_equal(l.text, "{\"way\":\"A → B, \xf0\x9f\x90\xa6\"}\n");
    free(l.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_member),
        cmocka_unit_test(every_character),
        cmocka_unit_test(beyond_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
