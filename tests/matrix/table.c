/* table.c - see table.h. */
#include "matrix/table.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_all(const char *name)
{
    char path[1024];
    const char *root = getenv("TERN_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/matrix/%s", root ? root : ".", name);
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0) {
        fprintf(stderr, "cannot read %s (is TERN_SOURCE_ROOT set, or this the root of the project?)\n", path);
        exit(1);
    }
    fclose(f);
    return text;
}

static char *trim(char *s)
{
    while (*s == ' ')
        s++;
    size_t n = strlen(s);
    while (n > 0 && s[n - 1] == ' ')
        s[--n] = 0;
    return s;
}

static int split(char *line, char **column)
{
    int n = 0;
    for (char *next = line; next && n < TABLE_COLUMNS; n++) {
        char *tab = strchr(next, '\t');
        if (tab)
            *tab = 0;
        column[n] = trim(next);
        next = tab ? tab + 1 : NULL;
    }
    return n;
}

static void add(struct table *t, const char *name, char *line, int number)
{
    struct table_row row = {.line = number};
    int n = split(line, row.column);
    if (t->columns == 0) {
        t->columns = n;
        return;
    }
    if (n != t->columns) {
        fprintf(stderr, "%s:%d: %d columns, not %d\n", name, number, n, t->columns);
        exit(1);
    }
    t->rows = realloc(t->rows, (t->n + 1) * sizeof(row));
    if (!t->rows)
        exit(1);
    t->rows[t->n++] = row;
}

struct table *table_load(const char *name)
{
    struct table *t = calloc(1, sizeof(*t));
    if (!t)
        exit(1);
    t->text = read_all(name);
    int number = 1;
    for (char *line = t->text; line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        if (line[0] != '#' && line[strspn(line, " \t")] != 0)
            add(t, name, line, number);
        line = end;
    }
    return t;
}

void table_free(struct table *t)
{
    free(t->rows);
    free(t->text);
    free(t);
}

static bool covers_one(const char *pattern, const char *word)
{
    if (pattern[0] == '!')
        return fnmatch(pattern + 1, word, 0) != 0;
    return fnmatch(pattern, word, 0) == 0;
}

bool table_covers(const char *pattern, const char *word)
{
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", pattern);
    char *save;
    for (char *p = strtok_r(copy, "|", &save); p; p = strtok_r(NULL, "|", &save))
        if (covers_one(p, word))
            return true;
    return false;
}

bool table_has(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    }
    return false;
}
