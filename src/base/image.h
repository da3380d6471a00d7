/* image.h - the used part of an arena as a run of bytes, and back.
 *
 * An arena holds no pointer, so its bytes mean the same wherever they lie. What is worth keeping of it is the
 * header with the map of pages, the owner's fixed part, and every page below the high-water mark in which
 * something lives; of a free page only the link to the next one.
 */
#ifndef BASE_IMAGE_H
#define BASE_IMAGE_H

#include "arena.h"

/* Bytes of the image of an arena whose fixed part has `fixed` bytes. */
uint64_t image_size(const struct arena *a, size_t fixed);

/* Bytes of the arena's header with the map of the pages that have been used. */
uint64_t image_front(const struct arena *a);

/* Bytes that the image keeps of page `number`: all, of a free page the link; 0 = it belongs to the fixed
 * part. */
uint64_t image_kept(const struct arena *a, uint32_t number);

/* Write it; returns the place behind its last byte. `out` has room for image_size bytes. */
uint8_t *image_save(const struct arena *a, const void *fixed_at, size_t fixed, uint8_t *out);

/* Whether `len` bytes begin as the image of an arena does, with every place in it inside of the arena, and
 * are as long as it says. They need not be aligned. */
bool image_sound(const uint8_t *in, uint64_t len, uint64_t fixed_offset, size_t fixed);

/* The most bytes that the arena of a sound image can ever use. */
uint64_t image_budget(const uint8_t *in);

/* Lay the arena of a sound image out at `a`, which has image_budget bytes of room. */
void image_load(struct arena *a, const uint8_t *in, uint64_t fixed_offset, size_t fixed);

/* The same for a living arena. */
void image_copy(struct arena *to, const struct arena *from, const void *fixed_at, size_t fixed);

/* What arena.h promises of the free pages and the map: true when it holds. `kinds`: how many kinds of page
 * there are. */
bool image_arena_sound(const struct arena *a, uint32_t kinds);

/* A sum of n bytes that changes with each of them. Not made against a forger. */
uint64_t image_sum(const void *data, uint64_t n);

#endif
