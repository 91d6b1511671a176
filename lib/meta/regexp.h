/* Regular expressions as Go has them (github.com/google/re2/wiki/Syntax), with Go's words for what is wrong.
 *
 * Anybody who may write a definition or a policy brings his own, so a match takes time in proportion to the
 * text, whatever the expression: all alternatives are followed at once, none is tried again (Thompson's way;
 * Russ Cox, "Regular Expression Matching: the Virtual Machine Approach"). Unicode classes (\p{Greek}) and folding
 * of letters beyond ASCII go through PCRE2, which may try again and is stopped when it does too long.
 */
#pragma once

#include "../base/arena.h"

#define REGEXP_PATTERN_MAX 8192 /* bytes; longer ones are too large */
#define REGEXP_INSTRUCTIONS_MAX 50000
#define REGEXP_STEPS_MAX 20000000 /* of a match: some tenths of a second */

struct regexp;
/* -EINVAL: PATTERN is none; *RET_WHY (in A; may be NULL) is "error parsing regexp: missing closing ): `(a`". */
int regexp_compile(struct arena *a, const char *pattern, size_t len, struct regexp **ret, const char **ret_why);
void regexp_free(struct regexp *re); /* NULL allowed */
/* The leftmost match in TEXT at or behind START, of several there the one that comes first in the pattern: its place
 * to *RET_FROM and *RET_TO. Both NULL: only whether there is one, which is quicker.
 * 1: there is one; 0: none; -ETIME: it takes too long. */
int regexp_match(struct regexp *re, const char *text, size_t len, size_t start, size_t *ret_from, size_t *ret_to);

/* Compiled ones are kept, so that a pattern that is used for each object is compiled once. Borrowed until the
 * next call. Errors as above. */
int regexp_cached(struct arena *a, const char *pattern, size_t len, struct regexp **ret, const char **ret_why);
