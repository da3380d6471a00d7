/* Any text as a packetdrill script (check/): it is read, and when it is one, played. It ends with a verdict
 * and a place in the text, whatever it says. */
#include "base/mem.h"
#include "check/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct check_options options = {.ladder = CHECK_LADDER_ALWAYS};
    struct check_result r;
    if (size > 20000)
        return 0;
    char *text = malloc(size ? size : 1); /* of exactly its size: it need not end with a zero */
    memcpy(text, data, size);
    check_run_buffer(text, size, &options, &r);
    ASSERT(r.verdict <= CHECK_WRONG &&
           (r.verdict == CHECK_PASSED || (r.message != NULL && *r.message != '\0')));
    int lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    ASSERT(r.line >= 0 && r.line <= lines && r.column >= 0);
    check_result_free(&r);
    free(text);
    return 0;
}
