/* How a Table cell is made: recipes in apiserver/kinds, functions in table-cells.c and its sisters. */
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

const char *cell_text(const struct json *obj, const char *key); /* a member that is a string; "" for none */
/* Cells that are put together; cut off at a kilobyte, which no name reaches. */
void cell_printf(const struct cell *c, const char *fmt, ...) printf_like(2, 3);

/* Strings joined, written as one cell; OTHERWISE stands for none. */
struct cell_joiner {
        struct strbuf b;
        size_t n, max; /* only the first MAX are shown, then " + N more..."; 0: all */
        const char *separator;
};
void cell_join_add(struct cell_joiner *j, const char *fmt, ...) printf_like(2, 3);
void cell_join_end(const struct cell *c, struct cell_joiner *j, const char *otherwise);
int cell_compare_strings(const void *a, const void *b); /* of an array of them, for qsort() */

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
/* table-workloads.c */
cell_fn cell_kind_name, cell_phase, cell_condition_of, cell_default_name, cell_owner, cell_job_status,
        cell_job_completions, cell_job_duration, cell_node_status, cell_node_roles, cell_node_address,
        cell_node_kernel, cell_event_last_seen, cell_event_object, cell_event_source, cell_event_count;
/* table-network.c */
cell_fn cell_service_external, cell_service_ports, cell_endpoints, cell_slice_ports, cell_slice_endpoints,
        cell_ingress_hosts, cell_ingress_address, cell_ingress_ports, cell_ingress_class_parameters,
        cell_ip_parent;
/* table-cluster.c */
cell_fn cell_access_modes, cell_bound_access_modes, cell_bound, cell_volume_class, cell_pv_claim,
        cell_component_status, cell_component, cell_quota, cell_subjects, cell_csr_duration,
        cell_csr_condition, cell_claim_state, cell_apiservice_service, cell_apiservice_available,
        cell_param_kind, cell_param_ref, cell_hpa_targets;
