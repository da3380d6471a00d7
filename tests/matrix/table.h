/* table.h - segments.tsv and calls.tsv as rows of words (README.md says how they are read). */
#ifndef MATRIX_TABLE_H
#define MATRIX_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS 11

struct table_row {
    int line;
    char *column[TABLE_COLUMNS]; /* without the spaces around */
};

struct table {
    char *text;
    struct table_row *rows;
    size_t n;
    int columns;
};

/* Read tests/matrix/NAME. Ends the process with a message when it cannot be read or a row has not as many
 * columns as the header. */
struct table *table_load(const char *name);
void table_free(struct table *t);

/* Whether a pattern covers a word. */
bool table_covers(const char *pattern, const char *word);

/* Whether a list separated by commas has the word. */
bool table_has(const char *list, const char *word);

#endif
