/* progress.c - see progress.h. */
#include "progress.h"

#include <tern/host.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 24, DRAW_US = 200000, SAY_US = 10000000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

const volatile int *progress_interrupt(void)
{
    struct sigaction on = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
    return &interrupted;
}

void progress_begin(struct progress *p, const char *command)
{
    *p = (struct progress){
        .command = command, .terminal = isatty(STDERR_FILENO), .said_us = tern_host_now()};
}

/* A line that is wider than the terminal could not be drawn over: it is cut. */
static void draw(uint64_t done, uint64_t total, const char *text)
{
    static const char full[] = "########################", empty[] = "........................";
    struct winsize size = {0};
    int n = total > 0 && done < total ? (int)((double)done / (double)total * BAR) : BAR;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    int room = columns > BAR + 4 ? columns - BAR - 4 : 0;
    fprintf(stderr, "\r\033[K[%.*s%.*s] %.*s", n, full, BAR - n, empty, room, text);
}

void progress_tell(struct progress *p, uint64_t done, uint64_t total, const char *format, ...)
{
    char text[200];
    uint64_t now = tern_host_now();
    if (now - p->said_us < (p->terminal ? DRAW_US : SAY_US))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->said_us = now;
    p->drawn = p->terminal;
    if (p->terminal)
        draw(done, total, text);
    else
        fprintf(stderr, "tern %s: %s\n", p->command, text);
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
