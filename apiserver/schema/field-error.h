/* Field errors (k8s.io/apimachinery/pkg/util/validation/field): what a 422's causes are made of. */
#pragma once

#include "../../lib/json/json.h"

enum field_error_type {
        FIELD_REQUIRED,        /* reason FieldValueRequired */
        FIELD_INVALID,         /* FieldValueInvalid */
        FIELD_NOT_SUPPORTED,   /* FieldValueNotSupported */
        FIELD_DUPLICATE,       /* FieldValueDuplicate */
        FIELD_FORBIDDEN,       /* FieldValueForbidden */
        FIELD_NOT_FOUND,       /* FieldValueNotFound */
        FIELD_TOO_LONG,        /* FieldValueTooLong */
        FIELD_TOO_MANY,        /* FieldValueTooMany */
        FIELD_INTERNAL,        /* InternalError */
        FIELD_TYPE_INVALID,    /* FieldValueTypeInvalid */
        FIELD_TOO_SHORT,       /* FieldValueTooShort */
        FIELD_TOO_FEW,         /* FieldValueTooFew */
};

struct field_error {
        enum field_error_type type;
        const char *path;
        const char *detail;  /* "must be greater than or equal to 0" */
        const char *value;   /* as Go prints it in the message: "\"x\"", "5", "{...}"; NULL: none */
};

/* All in one arena. */
struct field_errors {
        struct arena *arena;
        struct field_error *list;
        size_t n, cap;
};

/* VALUE is printed as field.Error does: strings quoted as Go does, numbers and booleans plain, else
 * compact JSON. Required, Forbidden, TooLong, TooShort and Internal print none; of the others NULL prints as
 * null (a nil interface in Go). DETAIL_FMT may be NULL. */
void field_error_add(struct field_errors *errs, enum field_error_type type, const char *path,
                     const struct json *value, const char *detail_fmt, ...) printf_like(5, 6);
/* The same, of a value that is no tree node: TEXT goes out as it is. NULL: the error has none. */
void field_error_add_text(struct field_errors *errs, enum field_error_type type, const char *path,
                          const char *text, const char *detail_fmt, ...) printf_like(5, 6);
/* S quoted as Go's %q does. */
void go_quote(struct strbuf *out, const char *s, size_t len);
const char *go_quoted(struct arena *a, const char *s);
/* Whether Go counts the character as one that can be printed. */
bool go_printable(uint32_t c);
/* Decodes one UTF-8 sequence; returns its length, or 0 when it is none. */
unsigned utf8_decode(const char *s, size_t len, uint32_t *ret);
/* A number that Go holds as a float64: its %v. */
const char *go_float(struct arena *a, double d);
/* The cause's reason: "FieldValueInvalid". */
const char *field_error_reason(enum field_error_type type);
/* "Invalid value: -1: must be ...": the error without its path, a cause's message. */
char *field_error_body(struct arena *a, const struct field_error *e);
/* In the order given and quoted: supported values: "a", "b". */
void field_error_not_supported(struct field_errors *errs, const char *path, const struct json *value,
                               const char *const *supported);
/* Those from the Nth on come before the others. */
void field_errors_move_front(struct field_errors *errs, size_t n);
/* "spec.replicas: Invalid value: -1: must be ..." of one. */
char *field_error_print(struct arena *a, const struct field_error *e);
/* Of all, as Aggregate.Error(): one alone, or "[a, b]", duplicates left out. */
char *field_errors_print(struct arena *a, const struct field_errors *errs);
/* Paths: "spec.containers[0]" from its parts, in the arena. */
const char *field_path(struct arena *a, const char *fmt, ...) printf_like(2, 3);
