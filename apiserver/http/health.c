/* The checks that probes and admins ask for: health.h.
 *
 * They go by upstream's names, since probes name and exclude them. What upstream starts as dozens of controllers is here
 * one process that is up or not, so most names ask one of a few questions: is etcd there, and are the first objects.
 */
#include "health.h"

#include "answer.h"

static bool check_ping(struct apiserver *s)
{
        return true;
}

static bool check_etcd(struct apiserver *s)
{
        return store_ready(s->store) && !*store_trouble(s->store);
}

static bool check_bootstrapped(struct apiserver *s)
{
        return s->bootstrapped;
}

enum { ALIVE = 1, READY = 2, ALL = ALIVE | READY };

#define HOOK(name, fn) {"poststarthook/" name, fn, ALL}

static const struct check {
        const char *name;
        bool (*fn)(struct apiserver *s);
        unsigned kinds; /* ALIVE: of /healthz and /livez */
} checks[] = {
        {"ping", check_ping, ALL},
        {"log", check_ping, ALL},
        {"loopback-serving-certificate", check_ping, ALIVE},
        {"etcd", check_etcd, ALL},
        {"etcd-readiness", check_etcd, READY},
        {"informer-sync", check_etcd, READY},
        HOOK("start-apiserver-admission-initializer", check_bootstrapped),
        HOOK("generic-apiserver-start-informers", check_bootstrapped),
        HOOK("priority-and-fairness-config-consumer", check_bootstrapped),
        HOOK("priority-and-fairness-filter", check_ping),
        HOOK("storage-object-count-tracker-hook", check_ping),
        HOOK("start-apiextensions-informers", check_bootstrapped),
        HOOK("start-apiextensions-controllers", check_bootstrapped),
        HOOK("crd-informer-synced", check_bootstrapped),
        HOOK("start-system-namespaces-controller", check_bootstrapped),
        HOOK("peer-endpoint-reconciler-controller", check_bootstrapped),
        HOOK("start-cluster-authentication-info-controller", check_bootstrapped),
        HOOK("start-kube-apiserver-identity-lease-controller", check_bootstrapped),
        HOOK("start-kube-apiserver-identity-lease-garbage-collector", check_bootstrapped),
        HOOK("storage-readiness", check_bootstrapped),
        HOOK("start-legacy-token-tracking-controller", check_bootstrapped),
        HOOK("start-service-ip-repair-controllers", check_bootstrapped),
        HOOK("rbac/bootstrap-roles", check_bootstrapped),
        HOOK("scheduling/bootstrap-system-priority-classes", check_bootstrapped),
        HOOK("priority-and-fairness-config-producer", check_bootstrapped),
        HOOK("bootstrap-controller", check_bootstrapped),
        HOOK("start-kubernetes-service-cidr-controller", check_bootstrapped),
        HOOK("aggregator-reload-proxy-client-cert", check_ping),
        HOOK("start-kube-aggregator-informers", check_bootstrapped),
        HOOK("apiservice-status-local-available-controller", check_bootstrapped),
        HOOK("apiservice-status-remote-available-controller", check_bootstrapped),
        HOOK("apiservice-registration-controller", check_bootstrapped),
        HOOK("apiservice-discovery-controller", check_bootstrapped),
        HOOK("kube-apiserver-autoregistration", check_bootstrapped),
        {"autoregister-completion", check_bootstrapped, ALL},
        HOOK("apiservice-openapi-controller", check_bootstrapped),
        HOOK("apiservice-openapiv3-controller", check_bootstrapped),
        {"shutdown", check_ping, READY}, /* a server that goes takes no connections any more */
};

static const struct kind {
        const char *name;
        unsigned is;
} kinds[] = {{"healthz", ALIVE}, {"livez", ALIVE}, {"readyz", READY}};

static bool listed(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names that the client left out and nobody has. */
static void warn_of_exclusions(struct strbuf *b, unsigned kind, const char **names, size_t n)
{
        const char *last = NULL;

        if (n)
                qsort(names, n, sizeof(*names), by_name);
        for (size_t i = 0; i < n; i++) {
                bool known = i && streq(names[i], names[i - 1]);

                for (size_t k = 0; k < ARRAY_SIZE(checks); k++)
                        known |= checks[k].kinds & kind && streq(checks[k].name, names[i]);
                if (known)
                        continue;
                strbuf_puts(b, last ? "," : "warn: some health checks cannot be excluded: no matches for ");
                json_write_string(b, names[i], strlen(names[i]));
                last = names[i];
        }
        if (last)
                strbuf_putc(b, '\n');
}

/* /livez must not depend on etcd for its own life: a restart of ours does not mend etcd. */
static void serve_all(struct api_request *r, const struct kind *kind)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char **excluded;
        size_t n = http_query_all(r->http, "exclude", &excluded);
        bool all = true;

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                const struct check *c = &checks[i];

                if (!(c->kinds & kind->is))
                        continue;
                if (listed(excluded, n, c->name)) {
                        strbuf_printf(&b, "[+]%s excluded: ok\n", c->name);
                } else if (c->fn(r->server)) {
                        strbuf_printf(&b, "[+]%s ok\n", c->name);
                } else {
                        strbuf_printf(&b, "[-]%s failed: reason withheld\n", c->name);
                        all = false;
                }
        }
        warn_of_exclusions(&b, kind->is, excluded, n);
        strbuf_printf(&b, "%s check %s\n", kind->name, all ? "passed" : "failed");
        answer_text(r, all ? 200 : 500, "text/plain; charset=utf-8", all && !http_query(r->http, "verbose") ? "ok" : b.data);
}

static void serve_one(struct api_request *r, const struct kind *kind, const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                if (!(checks[i].kinds & kind->is) || !streq(checks[i].name, name))
                        continue;
                if (checks[i].fn(r->server)) /* upstream writes it without a thought of headers */
                        answer_buffer(r, 200, "text/plain; charset=utf-8", buffer_new_copy("ok", 2), NULL);
                else
                        answer_text(r, 500, "text/plain; charset=utf-8",
                                    arena_printf(r->arena, "internal server error: %s is not well\n", name));
                return;
        }
        answer_text(r, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

static int by_check(const void *a, const void *b)
{
        return strcmp((*(const struct check *const *)a)->name, (*(const struct check *const *)b)->name);
}

/* What each check found, for those who compute how reliable we are; sorted, as metrics are. */
static void serve_slis(struct api_request *r)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const struct check *sorted[ARRAY_SIZE(checks)];

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
                sorted[i] = &checks[i];
        qsort(sorted, ARRAY_SIZE(sorted), sizeof(*sorted), by_check);
        strbuf_puts(&b, "# HELP kubernetes_healthcheck [STABLE] Whether a check says it is well (1) or not (0).\n"
                        "# TYPE kubernetes_healthcheck gauge\n");
        for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
                for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
                        if (sorted[i]->kinds & kinds[k].is)
                                strbuf_printf(&b, "kubernetes_healthcheck{name=\"%s\",type=\"%s\"} %d\n", sorted[i]->name,
                                              kinds[k].name, sorted[i]->fn(r->server));
        answer_buffer(r, 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", buffer_new_copy(strbuf_str(&b), b.len),
                      NULL);
}

bool health_handle(struct api_request *r)
{
        const char *path = r->path + 1;

        if (streq(path, "metrics/slis")) {
                serve_slis(r);
                return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                size_t n = strlen(kinds[i].name);

                if (strncmp(path, kinds[i].name, n) != 0 || (path[n] && path[n] != '/'))
                        continue;
                if (path[n])
                        serve_one(r, &kinds[i], path + n + 1);
                else
                        serve_all(r, &kinds[i]);
                return true;
        }
        return false;
}

void health_paths(struct arena *a, struct json *paths)
{
        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                json_append(a, paths, json_new_stringf(a, "/%s", kinds[k].name));
                for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
                        if (checks[i].kinds & kinds[k].is)
                                json_append(a, paths, json_new_stringf(a, "/%s/%s", kinds[k].name, checks[i].name));
        }
}
