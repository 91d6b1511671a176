/* Errors.
 *
 * Functions that can fail return int: 0 is success; a negative errno says that something below
 * failed, and is passed up; a positive value, where a header names one, is an outcome that the
 * caller is expected to handle (a conflict, "not found"), not a failure.
 *
 * Where a text helps whoever reads the log or the client, the last parameter is a
 * struct error *reterr (NULL allowed): the innermost function sets it, those above wrap it, so
 * that it reads "pull image busybox: GET https://...: connection refused".
 */
#pragma once

#include <errno.h>

#include "base.h"

struct error {
        int code;      /* the negative errno or positive outcome that was returned */
        char *message; /* owned; NULL when nothing was set */
};

#define ERROR_INIT                                                                                 \
        {                                                                                          \
                0, NULL                                                                            \
        }
#define _cleanup_error_ _cleanup_(error_deinit)

/* Sets the text (replacing any) and returns CODE, so that `return error_set(...)` reads well. */
int error_set(struct error *reterr, int code, const char *fmt, ...) printf_like(3, 4);
/* Puts "text: " in front of what is there and returns CODE, what the failed function returned. */
int error_wrap(struct error *reterr, int code, const char *fmt, ...) printf_like(3, 4);
/* The text, never NULL: the message, or what strerror says of the code. */
const char *error_text(const struct error *err);
void error_deinit(struct error *err);
