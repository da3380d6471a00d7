/* impair.c - reads what a bad path does: "delay=1ms,loss=2%,reorder=5%,dup=1%". */
#include <stdlib.h>
#include <string.h>

#include "net.h"

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit times[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}, {NULL, 0}};
static const unit shares[] = {{"%", 1e4}, {"", 1e6}, {NULL, 0}}; /* "2%" or "0.02" */
static const unit rates[] = {{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"", 1}, {NULL, 0}};
static const unit sizes[] = {{"k", 1024}, {"kb", 1024}, {"m", 1048576}, {"mb", 1048576}, {"", 1}, {NULL, 0}};

/* A number and its unit; negative when it is none, or not between 0 and max. */
static double quantity(const char *text, const unit *units, double max)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v >= 0))
        return -1;
    for (const unit *u = units; u->name != NULL; u++)
        if (strcasecmp(end, u->name) == 0)
            return v * u->factor <= max ? v * u->factor : -1;
    return -1;
}

/* "3-10": how many packets overtake a reordered one. */
static bool gap(const char *text, tern_impair_config *c)
{
    char *end;
    unsigned long low = strtoul(text, &end, 10);
    unsigned long high = *end == '-' ? strtoul(end + 1, &end, 10) : low;
    if (end == text || *end != '\0' || low < 1 || high < low || high > 1000)
        return false;
    c->reorder_min = (uint32_t)low;
    c->reorder_max = (uint32_t)high;
    return true;
}

typedef struct setting {
    const char *name;
    const unit *units;
    double max;
    size_t offset;
    const char *example;
} setting;

static const setting settings[] = {
    {"delay", times, 60e6, offsetof(tern_impair_config, delay_us), "delay=1ms"},
    {"jitter", times, 60e6, offsetof(tern_impair_config, jitter_us), "jitter=500us"},
    {"queue", sizes, 1e9, offsetof(tern_impair_config, queue_bytes), "queue=256k"},
    {"loss", shares, 1e6, offsetof(tern_impair_config, loss_ppm), "loss=2%"},
    {"dup", shares, 1e6, offsetof(tern_impair_config, duplicate_ppm), "dup=1%"},
    {"corrupt", shares, 1e6, offsetof(tern_impair_config, corrupt_ppm), "corrupt=0.1%"},
    {"reorder", shares, 1e6, offsetof(tern_impair_config, reorder_ppm), "reorder=5%"},
    {"ce", shares, 1e6, offsetof(tern_impair_config, ce_ppm), "ce=1%"},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

/* NULL, or an example of how it should look; "" when there is no such setting. */
static const char *apply(const char *name, const char *value, tern_impair_config *c)
{
    for (int i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        double v = quantity(value, settings[i].units, settings[i].max);
        if (v < 0)
            return settings[i].example;
        *(uint32_t *)(void *)((char *)c + settings[i].offset) = (uint32_t)(v + 0.5);
        return NULL;
    }
    if (strcmp(name, "rate") == 0) {
        double v = quantity(value, rates, 1e12);
        c->rate_bps = v > 0 ? (uint64_t)v : 0;
        return v > 0 ? NULL : "rate=100mbit";
    }
    if (strcmp(name, "seed") == 0) {
        c->seed = strtoull(value, NULL, 0);
        return NULL;
    }
    if (strcmp(name, "gap") == 0)
        return gap(value, c) ? NULL : "gap=3-10";
    return "";
}

const char *impair_parse(const char *spec, tern_impair_config *out, char err[160])
{
    char copy[256];
    char *rest = NULL;
    memset(out, 0, sizeof *out);
    snprintf(copy, sizeof copy, "%s", spec);
    for (char *word = strtok_r(copy, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(word, '=');
        if (value != NULL)
            *value++ = '\0';
        const char *wanted = apply(word, value != NULL ? value : "", out);
        if (wanted == NULL)
            continue;
        if (wanted[0] == '\0')
            snprintf(err, 160, "no '%.40s'; there are delay, jitter, rate, queue, loss, dup, %s", word,
                     "corrupt, reorder, gap, ce, seed");
        else
            snprintf(err, 160, "'%.40s=%.40s' should look like %s", word, value != NULL ? value : "", wanted);
        return err;
    }
    return NULL;
}
