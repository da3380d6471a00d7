/* check.c - `tern check`: runs packetdrill scripts against tern, in this process and on a virtual clock. What
 * a script is and how it is run: check/check.h; the language: docs/CHECK.md.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "args.h"
#include "check/check.h"
#include "cmd.h"

enum { SETTINGS_MAX = 32 };

struct options {
    bool json, color, quiet;
    enum check_ladder ladder;
    const char *settings[SETTINGS_MAX + 1]; /* of scripts, given for all of them */
    int n_settings;
};

struct tally {
    unsigned passed, failed, skipped;
    uint64_t segments, virtual_us;
    bool cannot; /* something could not be read */
};

struct names {
    char **v;
    size_t n, cap;
};

static int usage(FILE *out)
{
    fputs("usage: tern check [--json] [--ladder] [--quiet] [--color=auto|always|never] FILE.pkt...\n\n"
          "Runs packetdrill scripts against one tern stack each, in this process and on a virtual clock. A\n"
          "folder stands for every .pkt file below it.\n\n"
          "  --ladder      draw what happened for scripts that pass, too\n"
          "  --json        one JSON object a script, and one for all of them\n"
          "  -q, --quiet   only what did not pass, and the last line\n"
          "  --color=WHEN  auto (on a terminal), always or never\n"
          "  --tern=NAME=VALUE, --mtu=BYTES, --tolerance_usecs=N, ...\n"
          "                options that a script can have, in front of all of them (docs/CHECK.md)\n\n"
          "Exit status: 0 no script failed and one at least passed, 1 otherwise, 2 a file cannot be read.\n",
          out);
    return CMD_OK;
}

/* --- files ----------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_name(struct names *names, char *name)
{
    if (names->n == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 64;
        names->v = realloc(names->v, names->cap * sizeof *names->v);
    }
    names->v[names->n++] = name;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
    free(names->v);
}

static bool is_script(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".pkt") == 0;
}

/* Every script below a folder. */
static bool add_folder(struct names *names, const char *path)
{
    DIR *dir = opendir(path);
    bool ok = dir != NULL;
    for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
        char *name = NULL;
        struct stat st;
        if (e->d_name[0] == '.' || asprintf(&name, "%s/%s", path, e->d_name) < 0)
            continue;
        bool folder = stat(name, &st) == 0 && S_ISDIR(st.st_mode);
        if (folder)
            ok = add_folder(names, name);
        if (!folder && is_script(name))
            add_name(names, name);
        else
            free(name);
    }
    if (dir != NULL)
        closedir(dir);
    return ok;
}

/* All of a file; NULL: errno says why. */
static char *read_file(const char *name, size_t *len)
{
    FILE *file = fopen(name, "r");
    char *text = NULL;
    size_t cap = 0, n = 1;
    *len = 0;
    while (file != NULL && n > 0) {
        if (*len == cap) {
            cap = cap ? cap * 2 : 8192;
            text = realloc(text, cap);
        }
        n = fread(text + *len, 1, cap - *len, file);
        *len += n;
    }
    bool bad = file == NULL || ferror(file);
    if (file != NULL)
        fclose(file);
    if (bad) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- telling --------------------------------------------------------------------------------- */

static const char *const verdicts[] = {"passed", "failed", "skipped", "no script"};

static const char *paint(const struct options *o, const char *escape)
{
    return o->color ? escape : "";
}

static void tell_json(const char *name, const struct check_result *r)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "script", name, "verdict", verdicts[r->verdict],
                          "events", (json_int_t)r->events, "sent", (json_int_t)r->sent, "received",
                          (json_int_t)r->received, "virtual_us", (json_int_t)r->virtual_us);
    if (r->line)
        json_object_set_new(j, "line", json_integer(r->line));
    if (r->verdict == CHECK_WRONG)
        json_object_set_new(j, "column", json_integer(r->column));
    const struct {
        const char *key, *text;
    } texts[] = {{"message", r->message}, {"script_line", r->script_line}, {"expected", r->expected},
                 {"got", r->got},         {"ladder", r->ladder}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text != NULL)
            json_object_set_new(j, texts[i].key, json_string(texts[i].text));
    json_dumpf(j, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    json_decref(j);
}

/* "FILE:12" or "FILE:12:5". */
static void print_place(const char *name, const struct check_result *r)
{
    fputs(name, stdout);
    if (r->line)
        printf(":%d", r->line);
    if (r->verdict == CHECK_WRONG)
        printf(":%d", r->column);
}

static void tell(const struct options *o, const char *name, const struct check_result *r)
{
    static const char *const colors[] = {"\033[32m", "\033[1;31m", "\033[33m", "\033[1;31m"};
    static const char *const words[] = {"ok  ", "FAIL", "SKIP", "FAIL"};
    if (o->quiet && r->verdict == CHECK_PASSED)
        return;
    printf("%s%s%s ", paint(o, colors[r->verdict]), words[r->verdict], paint(o, "\033[0m"));
    print_place(name, r);
    if (r->message != NULL)
        printf(": %s", r->message);
    fputc('\n', stdout);
    if (r->verdict != CHECK_SKIPPED && r->script_line != NULL)
        printf("    script    %s\n", r->script_line);
    if (r->expected != NULL)
        printf("    expected  %s\n", r->expected);
    if (r->got != NULL)
        printf("    got       %s\n", r->got);
    if (r->ladder != NULL)
        printf("\n%s\n", r->ladder);
}

/* --- running --------------------------------------------------------------------------------- */

static void count(struct tally *t, const struct check_result *r)
{
    t->passed += r->verdict == CHECK_PASSED;
    t->skipped += r->verdict == CHECK_SKIPPED;
    t->failed += r->verdict == CHECK_FAILED || r->verdict == CHECK_WRONG;
    t->segments += r->sent + r->received;
    t->virtual_us += r->virtual_us;
}

static void run_file(const struct options *o, struct tally *t, const char *name)
{
    struct check_options options = {
        .settings = o->settings, .ladder = o->ladder, .color = o->color, .catch_trap = true};
    struct check_result r;
    size_t len;
    char *text = read_file(name, &len);
    if (text == NULL) {
        cmd_cannot("check", "cannot read %s: %s", name, strerror(errno));
        t->cannot = true;
        return;
    }
    check_run_buffer(text, len, &options, &r);
    if (o->json)
        tell_json(name, &r);
    else
        tell(o, name, &r);
    count(t, &r);
    check_result_free(&r);
    free(text);
}

static void summary(const struct options *o, const struct tally *t)
{
    if (o->json)
        printf("{\"passed\":%u,\"failed\":%u,\"skipped\":%u,\"segments\":%llu,\"virtual_us\":%llu}\n",
               t->passed, t->failed, t->skipped, (unsigned long long)t->segments,
               (unsigned long long)t->virtual_us);
    else
        printf("%u passed, %u failed, %u skipped\n", t->passed, t->failed, t->skipped);
}

static int run(const struct options *o, struct names *names)
{
    struct tally t = {0};
    for (size_t i = 0; i < names->n; i++) {
        run_file(o, &t, names->v[i]);
        fflush(stdout);
    }
    summary(o, &t);
    return t.cannot ? CMD_CANNOT : t.failed > 0 || t.passed == 0 ? CMD_NO : CMD_OK;
}

/* A file stays where it was named; what a folder holds comes in the order of names. */
static int find_files(struct names *names, char **args)
{
    for (; *args != NULL; args++) {
        struct stat st;
        size_t first = names->n;
        if (stat(*args, &st) != 0)
            return cmd_cannot("check", "cannot read %s: %s", *args, strerror(errno));
        if (!S_ISDIR(st.st_mode)) {
            add_name(names, strdup(*args));
            continue;
        }
        if (!add_folder(names, *args))
            return cmd_cannot("check", "cannot read %s: %s", *args, strerror(errno));
        qsort(names->v + first, names->n - first, sizeof *names->v, by_name);
    }
    return names->n > 0 ? CMD_OK : cmd_cannot("check", "no script is there: name a .pkt file, or a folder");
}

/* --mtu=1400 is for the scripts: taken out of the arguments. */
static int take_settings(struct options *o, int argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i] + 2;
        bool theirs = strncmp(argv[i], "--", 2) == 0 && check_is_setting(name, strcspn(name, "="));
        if (theirs && o->n_settings < SETTINGS_MAX)
            o->settings[o->n_settings++] = name;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

enum { OPT_JSON = 256, OPT_LADDER, OPT_COLOR };

/* CMD_OK, CMD_CANNOT, or -1 when the usage was asked for and printed. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, OPT_JSON},  {"ladder", no_argument, NULL, OPT_LADDER},
        {"quiet", no_argument, NULL, 'q'},      {"color", required_argument, NULL, OPT_COLOR},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    int option, result = CMD_OK;
    *o = (struct options){.color = isatty(STDOUT_FILENO), .ladder = CHECK_LADDER_FAILED};
    argc = take_settings(o, argc, argv);
    optind = 0;
    while (result == CMD_OK && (option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        switch (option) {
        case OPT_JSON: o->json = true; break;
        case OPT_LADDER: o->ladder = CHECK_LADDER_ALWAYS; break;
        case OPT_COLOR: result = args_color("check", optarg, &o->color); break;
        case 'q': o->quiet = true; break;
        case 'h': return usage(stdout), -1;
        case ':': return cmd_cannot("check", "%s needs a value; see `tern check --help`", argv[optind - 1]);
        default: return cmd_cannot("check", "unknown option '%s'; see `tern check --help`", argv[optind - 1]);
        }
    }
    if (o->json)
        o->color = false;
    if (result == CMD_OK && argv[optind] == NULL)
        return cmd_cannot("check", "which script? see `tern check --help`");
    return result;
}

int cmd_check(int argc, char **argv)
{
    struct options o;
    struct names names = {0};
    int result = parse(&o, argc, argv);
    if (result != CMD_OK)
        return result < 0 ? CMD_OK : result;
    result = find_files(&names, argv + optind);
    if (result == CMD_OK)
        result = run(&o, &names);
    free_names(&names);
    return result;
}
