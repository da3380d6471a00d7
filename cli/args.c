/* args.c - see args.h. */
#include "args.h"
#include "cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int args_number(const char *command, const char *option, const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && v <= most) {
        *out = v;
        return CMD_OK;
    }
    if (most == UINT64_MAX)
        return cmd_cannot(command, "--%s wants a number, not '%s'", option, text);
    return cmd_cannot(command, "--%s wants a number up to %" PRIu64 ", not '%s'", option, most, text);
}

int args_number32(const char *command, const char *option, const char *text, uint32_t most, uint32_t *out)
{
    uint64_t v = 0;
    int result = args_number(command, option, text, most, &v);
    if (result == CMD_OK)
        *out = (uint32_t)v;
    return result;
}

int args_color(const char *command, const char *when, bool *color)
{
    if (strcmp(when, "always") == 0)
        *color = true;
    else if (strcmp(when, "never") == 0)
        *color = false;
    else if (strcmp(when, "auto") != 0)
        return cmd_cannot(command, "--color is auto, always or never, not '%s'", when);
    return CMD_OK;
}
