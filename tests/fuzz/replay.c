/* A main for fuzz targets without libFuzzer: feeds a target every file of the corpus folder that is named
 * (when it exists), then pseudo-random bytes: 20,000 inputs, or as many as the second argument says. The same
 * inputs on every run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, RANDOM_INPUTS = 20000 };

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The target gets a block of exactly the input's size, so that a sanitizer sees a read past its end. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static unsigned feed_folder(const char *folder)
{
    unsigned fed = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[4096];
        static uint8_t data[1 << 20];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
            continue;
        feed(data, fread(data, 1, sizeof data, file));
        fclose(file);
        fed++;
    }
    closedir(dir);
    return fed;
}

/* Bytes alone are rejected by the first check of most targets; half of the inputs are therefore mostly small
 * numbers. */
static void feed_random(unsigned count)
{
    uint64_t state = 1;
    uint8_t data[INPUT_MAX];
    for (unsigned n = 0; n < count; n++) {
        uint64_t shape = next_random(&state);
        size_t size = (shape >> 8) % ((shape & 7) == 0 ? INPUT_MAX : 128);
        for (size_t i = 0; i < size; i++) {
            uint64_t r = next_random(&state);
            data[i] = (uint8_t)((shape & 8) && (r & 0x300) ? (r & 7) : r);
        }
        feed(data, size);
    }
}

int main(int argc, char **argv)
{
    unsigned files = argc > 1 ? feed_folder(argv[1]) : 0;
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : RANDOM_INPUTS;
    feed_random(count);
    printf("1..1\nok 1 - %u files, %u pseudo-random inputs\n", files, count);
    return 0;
}
