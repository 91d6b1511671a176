/* A daemon's command line, by one table: flags are named as those of the Kubernetes program that the
 * daemon stands for, written --name=value or --name value, booleans also --name alone.
 *
 * An empty value leaves the default: the supervisor passes settings on that may be left empty. What is
 * refused is refused in the words of pflag, which Kubernetes' programs use.
 */
#pragma once

#include <stdio.h>

#include "error.h"

enum flag_type {
        FLAG_STRING,    /* const char *: points into argv */
        FLAG_BOOL,      /* bool */
        FLAG_INT,       /* int, from .min to .max */
        FLAG_INT64,     /* int64_t, likewise */
        FLAG_PORT,      /* uint16_t */
        FLAG_DURATION,  /* int64_t nanoseconds, more than 0; written as Go's */
        FLAG_LIST,      /* const char *const *: words between commas, ended by NULL; kept for good */
        FLAG_VERBOSITY, /* enum log_level: --v=4 and more is debugging */
        FLAG_CALL,      /* .take decides */
};

struct flag {
        const char *name; /* without the dashes */
        enum flag_type type;
        void *value; /* what .type says; handed to .take as userdata */
        const char *help;
        int64_t min, max; /* of numbers; both 0: none given */
        const char *only; /* the one value that is understood, where others exist upstream */
        int (*take)(const char *text, void *userdata, struct error *reterr);
};

#define FLAGS_HELP 1 /* --help was asked for */

/* Walks ARGV and stores what it says. RET_WORDS, when not NULL, takes the first word that is no flag
 * and all behind it (NULL-ended, inside ARGV); without it such a word is refused.
 * 0, FLAGS_HELP, or -EINVAL with a text for the user. */
int flags_parse(const struct flag *flags, size_t n, int argc, char **argv, char ***ret_words, struct error *reterr);

/* "Usage: PROGRAM SYNOPSIS" and a line for each flag. */
void flags_usage(FILE *out, const char *program, const char *synopsis, const struct flag *flags, size_t n);

/* What every daemon does with the two: parses, and ends the process with the usage and status 0 for
 * --help, or with the refusal on stderr and status 2. */
void flags_parse_or_exit(const char *program, const struct flag *flags, size_t n, int argc, char **argv,
                         char ***ret_words);
