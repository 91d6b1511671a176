/* Shared by the files of the kubelet's server. */
#pragma once

#include "../../lib/http/server.h"
#include "../pods/worker.h"
#include "kubelet-server.h"

struct kubelet_server {
        struct kubelet *k;
        struct http_server *http;
};

void answer_text(struct http_request *req, unsigned status, const char *fmt, ...) printf_like(3, 4);
bool query_flag(const struct http_request *req, const char *name);

/* logs: GET /containerLogs/NS/POD/CONTAINER */
void serve_logs(struct kubelet_server *s, struct http_request *req, struct pod_worker *w, const char *container);

/* What is used, metrics.c: GET /stats/summary, /metrics/resource, /metrics */
void serve_stats(struct kubelet_server *s, struct http_request *req);
void serve_resource_metrics(struct kubelet_server *s, struct http_request *req);
void serve_metrics(struct kubelet_server *s, struct http_request *req);

/* exec and attach, by SPDY or WebSocket. ARGV NULL: attach. */
struct remote_request {
        const char *container_id;
        const char *const *argv;
        bool in, out, err, tty;
};
void serve_remote(struct kubelet_server *s, struct http_request *req, const struct remote_request *r);
void serve_port_forward(struct kubelet_server *s, struct http_request *req, struct pod_worker *w);

/* The first of OFFERED ("a, b") that is in SUPPORTED (NULL-ended); NULL. In the arena. */
const char *negotiate(struct arena *a, const char *const *offered, size_t n_offered, const char *const *supported);
bool wants_websocket(const struct http_request *req);
/* All values of a header, split at commas. */
size_t header_list(struct http_request *req, const char *name, const char **ret, size_t max);
