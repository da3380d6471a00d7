/* ss_watch.c - `tern ss --watch`: a sample every so often, drawn; keys change what is shown.
 *
 * The terminal is given back as it was however this ends: signals that end or stop a program are read from a
 * descriptor and handled here, in order. Where standard output is no terminal, each sample is printed as a
 * block of lines.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <tern/host.h>

#include "cmd.h"
#include "ss_watch.h"

typedef struct watch {
    int pid;
    int signals; /* descriptor */
    bool terminal, keys, over;
    struct termios before; /* the terminal as it was, if keys */
    watch_view view;
    sample *now, *last;
} watch;

/* --- the terminal ----------------------------------------------------------------------------- */

static void put(const char *text) { fputs(text, stdout); }

static void enter(watch *w)
{
    struct termios raw;
    w->keys = w->terminal && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &w->before) == 0;
    if (w->keys) {
        raw = w->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    if (w->terminal)
        put("\033[?1049h\033[?25l\033[?7l"); /* another screen, no cursor, no line breaks of its own */
    fflush(stdout);
}

static void leave(watch *w)
{
    if (w->terminal)
        put("\033[?7h\033[?25h\033[?1049l");
    fflush(stdout);
    if (w->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &w->before);
}

static void measure(watch *w)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    long given = columns != NULL ? strtol(columns, NULL, 10) : 0;
    w->view.width = given >= 40 && given <= 1000 ? (int)given : 120;
    w->view.height = 0;
    if (!w->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row < 2)
        return;
    w->view.width = size.ws_col < 1000 ? size.ws_col : 1000;
    w->view.height = size.ws_row;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void draw(watch *w)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return;
    screen_draw(out, w->now, w->last, &w->view);
    if (!w->terminal)
        fputc('\n', out);
    fclose(out);
    fwrite(text, 1, len, stdout); /* in one piece, so that it does not flicker */
    if (fflush(stdout) != 0)
        w->over = true; /* nobody reads any more */
    free(text);
}

/* False: no memory. */
static bool refresh(watch *w)
{
    sample *next = sample_take(w->pid, w->now);
    if (next == NULL)
        return false;
    sample_free(w->last);
    w->last = w->now;
    w->now = next;
    draw(w);
    return true;
}

/* --- keys and signals ------------------------------------------------------------------------- */

static void scroll(watch *w, long by)
{
    size_t top = w->view.top;
    w->view.top = by < 0 && top < (size_t)-by ? 0 : top + (size_t)by;
}

/* What arrow and page keys send: ESC [ A and the like. Returns how many characters it was. */
static size_t escape_key(watch *w, const char *keys, size_t n)
{
    long page = w->view.height > 12 ? w->view.height - 10 : 2;
    if (n < 3 || keys[1] != '[')
        return 1;
    switch (keys[2]) {
    case 'A': scroll(w, -1); return 3;
    case 'B': scroll(w, 1); return 3;
    case 'H': w->view.top = 0; return 3;
    case '5': scroll(w, -page); return n > 3 ? 4 : 3;
    case '6': scroll(w, page); return n > 3 ? 4 : 3;
    default: return 3;
    }
}

static void key(watch *w, char c)
{
    watch_view *v = &w->view;
    switch (c) {
    case 'q':
    case 'Q': w->over = true; break;
    case 's': v->sort = (enum watch_sort)((v->sort + 1) % SORTS); break;
    case 'f': v->filter = (enum watch_filter)((v->filter + 1) % FILTERS); break;
    case 'r': v->reasons = !v->reasons; break;
    case ' ': v->paused = !v->paused; break;
    case 'k': scroll(w, -1); break;
    case 'j': scroll(w, 1); break;
    default: break;
    }
    if (c == 's' || c == 'f')
        v->top = 0;
}

static void read_keys(watch *w)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0 && errno != EINTR && errno != EAGAIN)
        w->over = true; /* the terminal is gone */
    for (size_t i = 0; n > 0 && i < (size_t)n;) {
        if (keys[i] == '\033') {
            i += escape_key(w, keys + i, (size_t)n - i);
        } else {
            key(w, keys[i]);
            i++;
        }
    }
    if (!w->over)
        draw(w);
}

static int open_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGPIPE};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void read_signal(watch *w)
{
    struct signalfd_siginfo info;
    if (read(w->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGTSTP) { /* ^Z: the shell gets its terminal back, and we ours with `fg` */
        leave(w);
        raise(SIGSTOP);
        enter(w);
    } else if (info.ssi_signo != SIGWINCH) {
        w->over = true;
        return;
    }
    measure(w);
    draw(w);
}

/* Wait until the next sample is due; keys and signals are served meanwhile. */
static void wait_until(watch *w, uint64_t due)
{
    for (uint64_t now; now = tern_host_now(), !w->over && (w->view.paused || now < due);) {
        struct pollfd fds[] = {{.fd = w->signals, .events = POLLIN},
                               {.fd = w->keys ? STDIN_FILENO : -1, .events = POLLIN},
                               {.fd = STDOUT_FILENO}}; /* POLLERR: nobody reads any more */
        int ms = w->view.paused ? -1 : (int)((due - now + 999) / 1000);
        poll(fds, 3, ms);
        if (fds[0].revents != 0)
            read_signal(w);
        if (!w->over && fds[1].revents != 0)
            read_keys(w);
        w->over |= (fds[2].revents & POLLERR) != 0;
    }
}

int ss_watch(int pid, uint64_t every_us, const bool *wanted)
{
    watch w = {.pid = pid, .signals = open_signals(), .terminal = isatty(STDOUT_FILENO)};
    int r = CMD_OK;
    w.view = (watch_view){.every_us = every_us, .wanted = wanted, .screen = w.terminal};
    enter(&w);
    while (!w.over && r == CMD_OK) {
        uint64_t began = tern_host_now();
        measure(&w);
        if (!refresh(&w))
            r = CMD_CANNOT;
        wait_until(&w, began + every_us);
    }
    leave(&w);
    sample_free(w.now);
    sample_free(w.last);
    close(w.signals);
    return r == CMD_OK ? r : cmd_cannot("ss", "not enough memory");
}
