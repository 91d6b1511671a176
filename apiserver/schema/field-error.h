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

/* VALUE is printed as field.Error does (%#v of a JSON value; NULL: "null" or left out by type). */
void field_error_add(struct field_errors *errs, enum field_error_type type, const char *path,
                     const struct json *value, const char *detail_fmt, ...) printf_like(5, 6);
/* The supported values are sorted and quoted: supported values: "a", "b". */
void field_error_not_supported(struct field_errors *errs, const char *path, const struct json *value,
                               const char *const *supported);
/* "spec.replicas: Invalid value: -1: must be ..." of one. */
char *field_error_print(struct arena *a, const struct field_error *e);
/* Of all, as Aggregate.Error(): one alone, or "[a, b]", duplicates left out. */
char *field_errors_print(struct arena *a, const struct field_errors *errs);
/* Paths: "spec.containers[0]" from its parts, in the arena. */
const char *field_path(struct arena *a, const char *fmt, ...) printf_like(2, 3);
