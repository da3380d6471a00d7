/* serve_list.c - the page for a directory without index.html: folders first, then files, by name. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve.h"

enum { LIST_MAX = 10000 }; /* more entries than a person reads; the page says that it stops there */

typedef struct entry {
    char *name;
    bool folder;
    off_t size;
    time_t modified;
} entry;

/* For the text of a page. */
static void put_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc((unsigned char)*text < ' ' ? '?' : *text, out);
        }
    }
}

/* For an address inside of quotes: everything but the unreserved characters (RFC 3986 2.3) is encoded. */
static void put_url(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c) != NULL;
        fprintf(out, plain ? "%c" : "%%%02X", c);
    }
}

static void put_size(FILE *out, const entry *e)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)e->size;
    int u = 0;
    for (; v >= 1024 && u < 5; u++)
        v /= 1024;
    if (e->folder)
        fputs("&ndash;", out);
    else
        fprintf(out, u == 0 ? "%.0f&nbsp;%s" : "%.1f&nbsp;%s", v, units[u]);
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->folder != y->folder ? y->folder - x->folder : strcmp(x->name, y->name);
}

/* Reads the directory; what cannot be looked at, is hidden, or is neither file nor folder is left out. */
static size_t read_entries(DIR *dir, entry **out)
{
    entry *list = calloc(LIST_MAX, sizeof *list);
    size_t n = 0;
    for (struct dirent *d; list != NULL && n < LIST_MAX && (d = readdir(dir)) != NULL;) {
        struct stat st;
        if (d->d_name[0] == '.' || fstatat(dirfd(dir), d->d_name, &st, 0) != 0 ||
            !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
            continue;
        list[n] = (entry){strdup(d->d_name), S_ISDIR(st.st_mode), st.st_size, st.st_mtim.tv_sec};
        n += list[n].name != NULL;
    }
    if (n > 0)
        qsort(list, n, sizeof *list, by_name);
    *out = list;
    return n;
}

static void put_entry(FILE *out, const entry *e)
{
    const char *slash = e->folder ? "/" : "";
    char when[32];
    struct tm tm;
    gmtime_r(&e->modified, &tm);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    fputs("<tr><td><a href=\"", out);
    put_url(out, e->name);
    fprintf(out, "%s\">", slash);
    put_html(out, e->name);
    fprintf(out, "%s</a></td><td class=\"n\">", slash);
    put_size(out, e);
    fprintf(out, "</td><td>%s</td></tr>\n", when);
}

static void put_page(FILE *out, const char *shown, const entry *list, size_t n)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>/",
          out);
    put_html(out, shown);
    fputs(
        "</title>\n<style>\n"
        "body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; "
        "padding: 0 1rem; }\ntable { border-collapse: collapse; width: 100%; }\n"
        "th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #8884; }\n"
        "td.n, th.n { text-align: right; }\n@media (prefers-color-scheme: dark) "
        "{ body { background: #111; color: #ddd; } a { color: #8cf; } }\n</style></head>\n<body>\n<h1>/",
        out);
    put_html(out, shown);
    fputs(
        "</h1>\n<table>\n"
        "<thead><tr><th>Name</th><th class=\"n\">Size</th><th>Changed (UTC)</th></tr></thead>\n<tbody>\n",
        out);
    if (shown[0] != '\0')
        fputs("<tr><td><a href=\"../\">../</a></td><td class=\"n\"></td><td></td></tr>\n", out);
    for (size_t i = 0; i < n; i++)
        put_entry(out, &list[i]);
    fprintf(out, "</tbody>\n</table>\n<p>%zu %s%s</p>\n</body>\n</html>\n", n, n == 1 ? "entry" : "entries",
            n == LIST_MAX ? "; there are more" : "");
}

char *list_page(int dir_fd, const char *shown, size_t *len)
{
    DIR *dir = fdopendir(dir_fd);
    char *text = NULL;
    entry *list = NULL;
    if (dir == NULL) {
        close(dir_fd);
        return NULL;
    }
    size_t n = read_entries(dir, &list);
    closedir(dir);
    FILE *out = list != NULL ? open_memstream(&text, len) : NULL;
    if (out != NULL) {
        put_page(out, shown, list, n);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    for (size_t i = 0; i < n; i++)
        free(list[i].name);
    free(list);
    return text;
}
