/* How a Table cell is made: recipes in apiserver/kinds, functions in table-cells.c and table-pods.c. */
#pragma once

#include "schema.h"

/* What the cells of pods have in common (table-pods.c). */
struct pod_summary {
        const struct json *of;    /* the pod; NULL: nothing is known yet */
        int64_t ready, total, restarts;
        int64_t restarted_at;     /* real ns of the newest termination; 0: none */
        const char *reason;
        char buf[96];
};

/* One cell being made. A function writes exactly one JSON value to OUT. */
struct cell {
        struct strbuf *out;
        const struct json *obj;
        const struct table_column *column;
        const char *args;           /* what follows the function's name in the recipe; "" for none */
        int64_t now;                /* real time in ns */
        struct pod_summary *pod;    /* of this row */
};
typedef void cell_fn(const struct cell *c);

void cell_string(const struct cell *c, const char *s); /* NULL: "" */
void cell_int(const struct cell *c, int64_t i);
/* N in digits, 20 bytes at most and no NUL; returns what is behind them. Rows are made by the ten thousand:
 * printf() would be a quarter of their cost. */
char *cell_digits(char *to, int64_t n);
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

struct cell_function {
        const char *name;
        cell_fn *fn;
        /* What it reads of the object besides the paths among its arguments ("status.phase spec.ports.name", through
         * lists as if they were not there). NULL: any of it. Rows are made from nothing else. */
        const char *reads;
};
/* NULL: no such function. */
const struct cell_function *cell_function(const char *name, size_t len);

#define CELL_POD_READS \
        "metadata.deletionTimestamp spec.containers. spec.initContainers.name spec.initContainers.restartPolicy " \
        "status.phase status.reason status.conditions.type status.conditions.status status.conditions.reason " \
        CELL_POD_STATUS_READS("containerStatuses") CELL_POD_STATUS_READS("initContainerStatuses")
#define CELL_POD_STATUS_READS(list) \
        "status." list ".name status." list ".restartCount status." list ".ready status." list ".started " \
        "status." list ".state status." list ".lastState.terminated.finishedAt "
cell_fn cell_pod_ready, cell_pod_status, cell_pod_restarts, cell_pod_gates, cell_jsonpath;
