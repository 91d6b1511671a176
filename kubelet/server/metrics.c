/* What the node and its containers use, in the three forms that are asked for:
 *
 *      /stats/summary       JSON, for people and older collectors
 *      /metrics/resource    Prometheus text, which metrics-server makes `kubectl top` and autoscaling of
 *      /metrics             the kubelet's own numbers
 *
 * Everything is read from cgroups and /proc at the moment of the question; nothing is sampled in between.
 */
#include <stdio.h>

#include "../../lib/base/file.h"
#include "internal.h"
#include "../node-internal.h"

struct usage {
        int64_t cpu_ns, memory;
};

/* The machine's time at work since boot, and what of its memory could not be given back. */
static void node_usage(const struct kubelet *k, struct usage *ret)
{
        _cleanup_free_ char *text = NULL;
        unsigned long long t[8] = {0};

        *ret = (struct usage){.memory = k->memory - node_memory_available()};
        if (file_read("/proc/stat", 1 << 20, &text, NULL, NULL) < 0)
                return;
        /* user nice system idle iowait irq softirq steal */
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
        ret->cpu_ns = (int64_t)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) * (NS_PER_SEC / sysconf(_SC_CLK_TCK));
}

/* --- who is asked about --- */

typedef void sample_fn(void *userdata, const struct pod_worker *w, const struct lifecycle_container *c,
                       const struct runtime_stats *st);

/* Calls FN for each running pod (C is NULL), and after it for each of its running containers. Parks. */
static void each_sample(struct kubelet *k, sample_fn *fn, void *userdata)
{
        struct runtime *rt = k->runtime;
        struct pod_worker **list = xcalloc(k->workers.n + 1, sizeof(*list));
        struct map_entry *e;
        size_t n = 0;

        map_foreach(&k->workers, e)
                worker_ref(list[n++] = e->value);
        for (size_t i = 0; i < n; i++) {
                struct pod_worker *w = list[i];
                struct runtime_stats st = {0};
                if (w->sandbox_id && rt->ops->sandbox_stats(rt, w->sandbox_id, &st, NULL) == 0) {
                        fn(userdata, w, NULL, &st);
                        for (size_t j = 0; j < w->lc->n; j++) {
                                struct lifecycle_container *c = w->lc->containers[j];
                                if (c->state == CONTAINER_RUNNING && rt->ops->container_stats(rt, c->run.id, &st, NULL) == 0)
                                        fn(userdata, w, c, &st);
                        }
                }
                worker_unref(w);
        }
        free(list);
}

/* --- /stats/summary --- */

static struct json *usage_json(struct arena *a, const char *now, int64_t cpu_ns, int64_t memory, int64_t working_set, int64_t rss)
{
        struct json *x = json_new_object(a), *cpu = json_ensure_object(a, x, "cpu"), *mem = json_ensure_object(a, x, "memory");

        json_set_string(a, cpu, "time", now);
        json_set_int(a, cpu, "usageCoreNanoSeconds", cpu_ns);
        json_set_string(a, mem, "time", now);
        json_set_int(a, mem, "usageBytes", memory);
        json_set_int(a, mem, "workingSetBytes", working_set);
        if (rss >= 0)
                json_set_int(a, mem, "rssBytes", rss);
        return x;
}

struct summary {
        struct arena *arena;
        struct json *pods, *containers;
        char now[TIME_BUF];
};

static void add_summary(void *userdata, const struct pod_worker *w, const struct lifecycle_container *c,
                        const struct runtime_stats *st)
{
        struct summary *s = userdata;
        struct arena *a = s->arena;
        struct json *x = usage_json(a, s->now, st->cpu_ns, st->memory_usage, st->memory_working_set, st->memory_rss), *ref;

        if (c) {
                json_set_string(a, x, "name", c->name);
                json_append(a, s->containers, x);
                return;
        }
        ref = json_ensure_object(a, x, "podRef");
        json_set_string(a, ref, "name", w->object->name);
        json_set_string(a, ref, "namespace", w->object->namespace);
        json_set_string(a, ref, "uid", w->uid);
        s->containers = json_ensure_array(a, x, "containers");
        json_append(a, s->pods, x);
}

void serve_stats(struct kubelet_server *s, struct http_request *req)
{
        struct summary sum = {.arena = req->arena, .pods = json_new_array(req->arena)};
        struct json *top = json_new_object(req->arena), *node;
        struct usage use;
        char *text;

        time_format(time_real(), sum.now);
        node_usage(s->k, &use);
        node = usage_json(req->arena, sum.now, use.cpu_ns, use.memory, use.memory, -1);
        json_set_int(req->arena, json_get(node, "memory"), "availableBytes", s->k->memory - use.memory);
        json_set_string(req->arena, node, "nodeName", s->k->config.node_name);
        each_sample(s->k, add_summary, &sum);
        json_set(req->arena, top, "node", node);
        json_set(req->arena, top, "pods", sum.pods);
        text = json_print(req->arena, top);
        http_respond(req, &(struct http_answer){
                                  .status = 200, .content_type = "application/json", .body = text, .body_len = strlen(text)});
}

/* --- /metrics/resource --- */

enum family { NODE_CPU, NODE_MEMORY, POD_CPU, POD_MEMORY, CONTAINER_CPU, CONTAINER_MEMORY, CONTAINER_START, FAMILIES };

static const struct {
        const char *name, *type, *help;
} families[FAMILIES] = {
        [NODE_CPU] = {"node_cpu_usage_seconds_total", "counter", "Processor time the node has used, in core-seconds"},
        [NODE_MEMORY] = {"node_memory_working_set_bytes", "gauge", "Memory the node has in use, in bytes"},
        [POD_CPU] = {"pod_cpu_usage_seconds_total", "counter", "Processor time the pod has used, in core-seconds"},
        [POD_MEMORY] = {"pod_memory_working_set_bytes", "gauge", "Memory the pod has in use, in bytes"},
        [CONTAINER_CPU] = {"container_cpu_usage_seconds_total", "counter", "Processor time the container has used, in core-seconds"},
        [CONTAINER_MEMORY] = {"container_memory_working_set_bytes", "gauge", "Memory the container has in use, in bytes"},
        [CONTAINER_START] = {"container_start_time_seconds", "gauge", "When the container started, in seconds since 1970"},
};

/* The lines of each family, which stand together in the end. */
struct resource_metrics {
        struct strbuf lines[FAMILIES];
        long long now_ms;
};

static void add_metric(struct resource_metrics *m, enum family f, const char *labels, double value, bool whole)
{
        if (whole)
                strbuf_printf(&m->lines[f], "%s%s %.0f %lld\n", families[f].name, labels, value, m->now_ms);
        else
                strbuf_printf(&m->lines[f], "%s%s %.9f %lld\n", families[f].name, labels, value, m->now_ms);
}

static void add_resource(void *userdata, const struct pod_worker *w, const struct lifecycle_container *c,
                         const struct runtime_stats *st)
{
        struct resource_metrics *m = userdata;
        char labels[700]; /* names are of 253 characters at most, and none needs to be escaped */
        double cpu = (double)st->cpu_ns / 1e9, memory = (double)st->memory_working_set;

        if (!c) {
                snprintf(labels, sizeof(labels), "{namespace=\"%s\",pod=\"%s\"}", w->object->namespace, w->object->name);
                add_metric(m, POD_CPU, labels, cpu, false);
                add_metric(m, POD_MEMORY, labels, memory, true);
                return;
        }
        snprintf(labels, sizeof(labels), "{container=\"%s\",namespace=\"%s\",pod=\"%s\"}", c->name, w->object->namespace,
                 w->object->name);
        add_metric(m, CONTAINER_CPU, labels, cpu, false);
        add_metric(m, CONTAINER_MEMORY, labels, memory, true);
        /* Without a time of sampling: it is one itself. */
        strbuf_printf(&m->lines[CONTAINER_START], "%s%s %.3f\n", families[CONTAINER_START].name, labels,
                      (double)c->run.started / 1e9);
}

static void answer_metrics(struct http_request *req, const struct strbuf *text)
{
        http_respond(req, &(struct http_answer){.status = 200,
                                                .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                                .body = strbuf_str(text),
                                                .body_len = text->len});
}

void serve_resource_metrics(struct kubelet_server *s, struct http_request *req)
{
        struct resource_metrics m = {.now_ms = time_real() / NS_PER_MS};
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct usage use;

        node_usage(s->k, &use);
        add_metric(&m, NODE_CPU, "", (double)use.cpu_ns / 1e9, false);
        add_metric(&m, NODE_MEMORY, "", (double)use.memory, true);
        each_sample(s->k, add_resource, &m);
        for (size_t i = 0; i < FAMILIES; i++) {
                if (m.lines[i].len)
                        strbuf_printf(&out, "# HELP %s %s\n# TYPE %s %s\n%s", families[i].name, families[i].help,
                                      families[i].name, families[i].type, strbuf_str(&m.lines[i]));
                strbuf_deinit(&m.lines[i]);
        }
        strbuf_puts(&out, "# HELP resource_scrape_error 1 if there was an error while getting container metrics, 0 otherwise\n"
                          "# TYPE resource_scrape_error gauge\nresource_scrape_error 0\n");
        answer_metrics(req, &out);
}

/* --- /metrics --- */

void serve_metrics(struct kubelet_server *s, struct http_request *req)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        unsigned pods = 0, containers = 0;
        struct map_entry *e;

        map_foreach(&s->k->workers, e) {
                struct pod_worker *w = e->value;
                pods += w->lc->state == POD_RUNNING;
                for (size_t i = 0; i < w->lc->n; i++)
                        containers += container_has_process(w->lc->containers[i]);
        }
        strbuf_printf(&out,
                      "# HELP kubelet_node_name The node's name. The count is always 1.\n"
                      "# TYPE kubelet_node_name gauge\nkubelet_node_name{node=\"%s\"} 1\n"
                      "# HELP kubelet_running_pods Number of pods that have a running pod sandbox\n"
                      "# TYPE kubelet_running_pods gauge\nkubelet_running_pods %u\n"
                      "# HELP kubelet_running_containers Number of containers currently running\n"
                      "# TYPE kubelet_running_containers gauge\n"
                      "kubelet_running_containers{container_state=\"running\"} %u\n",
                      s->k->config.node_name, pods, containers);
        answer_metrics(req, &out);
}
