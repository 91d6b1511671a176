/* How a Table cell is made: recipes in apiserver/kinds, functions in table-cells.c and table-pods.c. */
#pragma once

#include "schema.h"

/* One cell being made. A function writes exactly one JSON value to OUT. */
struct cell {
        struct strbuf *out;
        const struct json *obj;
        const struct table_column *column;
        const char *args;           /* what follows the function's name in the recipe; "" for none */
        int64_t now;                /* real time in ns */
};
typedef void cell_fn(const struct cell *c);

void cell_string(const struct cell *c, const char *s); /* NULL: "" */
void cell_int(const struct cell *c, int64_t i);
/* A value of the object as it is; NULL: what the column's type has for nothing. */
void cell_value(const struct cell *c, const struct json *v);
/* "5m", "<unknown>" for an absent time */
void cell_age(const struct cell *c, const char *time);

/* ".status.podIPs[0].ip" of an object; LEN: of the path. NULL: absent. */
const struct json *cell_path(const struct json *obj, const char *path, size_t len);
/* The N-th word of the arguments; false: there are fewer. */
bool cell_word(const struct cell *c, unsigned n, const char **ret, size_t *ret_len);
const struct json *cell_arg_path(const struct cell *c, unsigned n); /* the path that the N-th argument is */

/* A condition of the status by its type; NULL: none. */
const struct json *cell_condition(const struct json *obj, const char *type);
bool cell_condition_true(const struct json *obj, const char *type);

/* NULL: no such function. */
cell_fn *cell_function(const char *name, size_t len);

cell_fn cell_pod_ready, cell_pod_status, cell_pod_restarts, cell_pod_gates, cell_jsonpath;
