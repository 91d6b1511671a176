/* Counting requests, and telling what was counted: metrics.h.
 *
 * A request is counted in a table by what it was (verb, resource, scope, code), found by a hash of it; a few hundred
 * entries at most are ever made by honest clients, and who makes up paths makes none: what is no resource of ours is
 * counted together.
 */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../lib/base/map.h"
#include "../../lib/base/time.h"
#include "../aggregation/aggregation.h"
#include "../audit/audit.h"
#include "../flow/flow.h"
#include "../flow/work.h"
#include "../registry/registry.h"
#include "../schema/version.h"

#define SERIES_MAX 4096

static const double bounds[] = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60};

/* Requests alike. */
struct series {
        struct series *next;
        uint32_t hash;
        char *labels, *timed;            /* with the code, and for the histogram, without */
        char *group, *version, *resource, *subresource;
        const char *verb, *scope;        /* constants */
        bool dry_run;
        unsigned code;
        uint64_t n, buckets[ARRAY_SIZE(bounds)];
        double seconds;
};

static struct {
        struct series *slots[1024];
        size_t n;
} metrics;

static const char *verb_of(const struct api_request *r)
{
        static const struct {
                const char *verb, *name;
        } verbs[] = {{"get", "GET"},     {"list", "LIST"},     {"watch", "WATCH"},   {"create", "POST"}, {"update", "PUT"},
                     {"patch", "PATCH"}, {"delete", "DELETE"}, {"deletecollection", "DELETECOLLECTION"}, {"post", "POST"},
                     {"put", "PUT"},     {"head", "HEAD"}};
        static const char *const connects[] = {"exec", "attach", "portforward", "proxy"};
        const char *type;

        for (size_t i = 0; *r->subresource && i < ARRAY_SIZE(connects); i++)
                if (streq(r->subresource, connects[i]))
                        return "CONNECT";
        if (streq(r->verb, "patch")) {
                type = http_header(r->http, "Content-Type");
                return type && str_has_prefix(type, "application/apply-patch") ? "APPLY" : "PATCH";
        }
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(r->verb, verbs[i].verb))
                        return verbs[i].name;
        return "other";
}

static uint32_t mix(uint32_t hash, const char *s)
{
        return (hash ^ hash_bytes(s, strlen(s))) * UINT32_C(0x9e3779b1);
}

static bool is(const struct series *s, const struct series *x)
{
        return s->hash == x->hash && s->code == x->code && s->verb == x->verb && s->scope == x->scope && s->dry_run == x->dry_run &&
               streq(s->resource, x->resource) && streq(s->subresource, x->subresource) && streq(s->group, x->group) &&
               streq(s->version, x->version);
}

static struct series *series_of(struct series *x)
{
        struct series **slot, *s;

        x->hash = mix(mix(mix(mix(mix(x->code + x->dry_run, x->verb), x->scope), x->resource), x->subresource), x->group);
        slot = &metrics.slots[x->hash % ARRAY_SIZE(metrics.slots)];
        for (s = *slot; s && !is(s, x); s = s->next)
                ;
        if (s || metrics.n >= SERIES_MAX)
                return s;
        s = new0(struct series);
        *s = *x;
        s->group = xstrdup(x->group);
        s->version = xstrdup(x->version);
        s->resource = xstrdup(x->resource);
        s->subresource = xstrdup(x->subresource);
        s->timed = xasprintf("component=\"apiserver\",dry_run=\"%s\",group=\"%s\",resource=\"%s\",scope=\"%s\",subresource=\"%s\",verb=\"%s\",version=\"%s\"",
                             s->dry_run ? "All" : "", s->group, s->resource, s->scope, s->subresource, s->verb, s->version);
        s->labels = xasprintf("code=\"%u\",%s", s->code, s->timed);
        s->next = *slot;
        *slot = s;
        metrics.n++;
        return s;
}

/* Of paths that name no resource, those that everybody has. */
static const char *known_path(const char *path)
{
        static const char *const paths[] = {"/healthz", "/livez", "/readyz", "/metrics", "/version", "/api", "/apis", "/openapi/v2", "/openapi/v3"};

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                if (streq(path, paths[i]))
                        return paths[i];
        return "";
}

void metrics_count(const struct api_request *r)
{
        double seconds = (double)(time_mono() - r->http->received_ns) / NS_PER_SEC;
        const struct resource *res = r->is_resource ? r->res : NULL;
        struct series x = {
                .code = http_status(r->http), .verb = verb_of(r), .dry_run = r->dry_run, .scope = "",
                .group = (char *)(res ? res->group : ""), .version = (char *)(res ? res->version : ""),
                .resource = (char *)(res ? res->name : ""), .subresource = (char *)(res ? "" : known_path(r->path)),
        }, *s;

        if (res)
                x.scope = *r->name ? "resource" : *r->namespace ? "namespace" : "cluster";
        for (unsigned i = 0; res && *r->subresource && i < res->n_subresources; i++)
                if (streq(res->subresources[i].name, r->subresource))
                        x.subresource = (char *)res->subresources[i].name;
        s = series_of(&x);
        if (!s)
                return;
        s->n++;
        s->seconds += seconds;
        for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
                if (seconds <= bounds[i]) {
                        s->buckets[i]++;
                        break;
                }
}

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- requests --- */

/* Histograms know no codes: what differs in that alone is added up. TAKEN has room for all. */
static struct series *gather(const struct series **list, size_t n, size_t at, bool *taken)
{
        static struct series sum;

        sum = *list[at];
        for (size_t i = at + 1; i < n; i++) {
                if (taken[i] || !streq(list[i]->timed, sum.timed))
                        continue;
                taken[i] = true;
                sum.n += list[i]->n;
                sum.seconds += list[i]->seconds;
                for (size_t b = 0; b < ARRAY_SIZE(bounds); b++)
                        sum.buckets[b] += list[i]->buckets[b];
        }
        return &sum;
}

static void write_histogram(struct strbuf *out, const struct series *s)
{
        uint64_t sum = 0;

        for (size_t b = 0; b < ARRAY_SIZE(bounds); b++) {
                sum += s->buckets[b];
                strbuf_printf(out, "apiserver_request_duration_seconds_bucket{%s,le=\"%g\"} %llu\n", s->timed, bounds[b], (unsigned long long)sum);
        }
        strbuf_printf(out, "apiserver_request_duration_seconds_bucket{%s,le=\"+Inf\"} %llu\napiserver_request_duration_seconds_sum{%s} %g\n"
                           "apiserver_request_duration_seconds_count{%s} %llu\n",
                      s->timed, (unsigned long long)s->n, s->timed, s->seconds, s->timed, (unsigned long long)s->n);
}

static void write_requests(struct strbuf *out)
{
        _cleanup_free_ const struct series **list = xcalloc(metrics.n + 1, sizeof(*list));
        _cleanup_free_ bool *taken = xcalloc(metrics.n + 1, sizeof(*taken));
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(metrics.slots); i++)
                for (const struct series *s = metrics.slots[i]; s; s = s->next)
                        list[n++] = s;
        head(out, "apiserver_request_total", "counter", "[STABLE] Requests by what they were and came to");
        for (size_t i = 0; i < n; i++)
                strbuf_printf(out, "apiserver_request_total{%s} %llu\n", list[i]->labels, (unsigned long long)list[i]->n);
        head(out, "apiserver_request_duration_seconds", "histogram", "[STABLE] How long they took until they were answered; watches: until they began");
        for (size_t i = 0; i < n; i++)
                if (!taken[i])
                        write_histogram(out, gather(list, n, i, taken));
}

static bool changes(const struct api_request *r)
{
        return !streq(r->verb, "get") && !streq(r->verb, "list") && !streq(r->verb, "watch") && !streq(r->verb, "head");
}

static void write_inflight(struct strbuf *out)
{
        unsigned reading = 0, writing = 0;

        list_foreach(flow_known(), it) {
                const struct flow_ticket *t = list_entry(it, struct flow_ticket, link);

                if (t->started && changes(t->request))
                        writing++;
                else if (t->started)
                        reading++;
        }
        head(out, "apiserver_current_inflight_requests", "gauge", "[STABLE] Requests that are handled just now");
        strbuf_printf(out, "apiserver_current_inflight_requests{request_kind=\"mutating\"} %u\n"
                           "apiserver_current_inflight_requests{request_kind=\"readOnly\"} %u\n", writing, reading);
}

/* --- what there is --- */

static void write_objects(struct apiserver *s, struct strbuf *out)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        head(out, "apiserver_storage_objects", "gauge", "[STABLE] Objects of each kind");
        for (size_t i = 0; i < n_builtin_resources + s->extra.n; i++) {
                const struct resource *r = i < n_builtin_resources ? builtin_resources[i] : s->extra.list[i - n_builtin_resources];

                if (!r->stored || r->storage_version)
                        continue;
                strbuf_printf(out, "apiserver_storage_objects{resource=\"%s%s%s\"} %zu\n", r->name, *r->group ? "." : "", r->group,
                              store_count(s->store, registry_key(a, r, NULL, NULL)));
        }
}

static size_t open_files(void)
{
        DIR *dir = opendir("/proc/self/fd");
        size_t n = 0;

        while (dir && readdir(dir))
                n++;
        if (dir)
                closedir(dir);
        return n > 3 ? n - 3 : 0; /* ".", "..", and its own */
}

static void write_process(struct apiserver *s, struct strbuf *out)
{
        unsigned long size = 0, resident = 0;
        struct rusage usage = {0};
        struct rlimit files = {0};
        FILE *f = fopen("/proc/self/statm", "re");

        if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
                size = resident = 0;
        if (f)
                fclose(f);
        getrusage(RUSAGE_SELF, &usage);
        getrlimit(RLIMIT_NOFILE, &files);
        head(out, "process_cpu_seconds_total", "counter", "CPU time");
        strbuf_printf(out, "process_cpu_seconds_total %.2f\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                                                       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
        head(out, "process_resident_memory_bytes", "gauge", "Memory that it takes");
        strbuf_printf(out, "process_resident_memory_bytes %lu\n", resident * (unsigned long)sysconf(_SC_PAGESIZE));
        head(out, "process_virtual_memory_bytes", "gauge", "Addresses that it has");
        strbuf_printf(out, "process_virtual_memory_bytes %lu\n", size * (unsigned long)sysconf(_SC_PAGESIZE));
        head(out, "process_open_fds", "gauge", "Open files");
        strbuf_printf(out, "process_open_fds %zu\n", open_files());
        head(out, "process_max_fds", "gauge", "How many there may be");
        strbuf_printf(out, "process_max_fds %llu\n", (unsigned long long)files.rlim_cur);
        head(out, "process_start_time_seconds", "gauge", "Since when it runs");
        strbuf_printf(out, "process_start_time_seconds %.2f\n", (double)s->started / NS_PER_SEC);
        head(out, "kubernetes_build_info", "gauge", "[ALPHA] Which version this is");
        strbuf_printf(out, "kubernetes_build_info{build_date=\"%s\",compiler=\"\",git_commit=\"%s\",git_tree_state=\"clean\",git_version=\"%s\","
                           "go_version=\"\",major=\"%s\",minor=\"%s\",platform=\"linux/%s\"} 1\n",
                      VERSION_DATE, VERSION_COMMIT, VERSION_GIT, VERSION_MAJOR, VERSION_MINOR, VERSION_ARCHITECTURE);
}

void metrics_write(struct apiserver *s, struct strbuf *out)
{
        write_requests(out);
        write_inflight(out);
        flow_watch_metrics(out);
        write_objects(s, out);
        aggregation_metrics(out);
        flow_metrics(out);
        audit_metrics(out);
        write_process(s, out);
}
