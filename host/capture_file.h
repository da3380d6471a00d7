/* capture_file.h - the files of a capture: written in whole blocks, and rotated by size.
 *
 *     web.pcapng      being written
 *     web.1.pcapng    the one before
 *     web.2.pcapng    and the one before that; the oldest goes when there are more than asked for
 */
#ifndef HOST_CAPTURE_FILE_H
#define HOST_CAPTURE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture_file {
    char path[PATH_MAX]; /* "-" = standard output */
    int fd;              /* -1 = not open */
    uint64_t at;         /* bytes written, whole blocks */
};

/* Make the file anew, or take standard output. 0 or -errno. */
int capture_file_open(struct capture_file *f, const char *path);

/* Write whole blocks. 0, or -errno: then the file ends with the last block that was written whole. */
int capture_file_write(struct capture_file *f, const uint8_t *blocks, size_t len);

/* Begin an empty file; what was written so far becomes number 1, at most `files` are kept in all. 0 or
 * -errno. */
int capture_file_rotate(struct capture_file *f, uint32_t files);

void capture_file_close(struct capture_file *f);

#endif
