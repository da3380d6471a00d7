/* slow RATE - copies standard input to standard output at RATE bytes a second, from the first byte on. What
 * stands before it in a pipe is held back: a download lasts as long as a test needs it to. */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char buf[16384];
    double rate = argc > 1 ? atof(argv[1]) : 0, began = 0, bytes = 0;
    ssize_t n;
    if (rate <= 0)
        return 2;
    while ((n = read(0, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(1, buf + at, (size_t)(n - at))) <= 0)
                return 1;
        began = bytes == 0 ? seconds() : began;
        bytes += (double)n;
        double early = bytes / rate - (seconds() - began);
        if (early > 0)
            usleep((useconds_t)(early * 1e6));
    }
    return n < 0;
}
