/* Discovery documents, written straight from the tables (discovery.h).
 *
 * Nothing is kept: the largest, aggregated discovery, is some 30 KB and takes a fraction of a
 * millisecond. Built-in groups come first, in the order of groups.yaml; then those of custom
 * resources. A custom resource may add a version to no built-in group, but several definitions may share one
 * group, and one definition has several versions. Where aggregated servers have a part, priorities decide.
 */
#include "discovery.h"

#include <gnutls/crypto.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "version.h"

/* --- walking groups, versions and resources, built-in and extra alike --- */

typedef void version_fn(struct strbuf *out, const char *group, const char *version, const struct discovery_extra *extra);

static const struct resource *extra_at(const struct discovery_extra *extra, size_t i)
{
        return extra && i < extra->n ? extra->list[i] : NULL;
}

/* The I-th resource of all: built-in ones, then extra ones; NULL behind the last. */
static const struct resource *resource_at(const struct discovery_extra *extra, size_t i)
{
        return i < n_builtin_resources ? builtin_resources[i] : extra_at(extra, i - n_builtin_resources);
}

static const struct api_group *builtin_group(const char *name)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                if (streq(builtin_groups[i].name, name))
                        return &builtin_groups[i];
        return NULL;
}

/* The next version of GROUP among the extra resources after LAST (NULL: the first), by preference. */
static const char *next_extra_version(const struct discovery_extra *extra, const char *group, const char *last)
{
        const char *best = NULL;

        for (size_t i = 0; extra && i < extra->n; i++) {
                const char *v = extra->list[i]->version;

                if (!streq(extra->list[i]->group, group) || (last && discovery_version_cmp(v, last) <= 0))
                        continue;
                if (!best || discovery_version_cmp(v, best) < 0)
                        best = v;
        }
        return best;
}

/* --- the order of groups, and of versions in a group, where other servers have some too --- */

#define CRD_GROUP_PRIORITY 1000 /* of the APIServices that are made for definitions */
#define CRD_VERSION_PRIORITY 100

struct places {
        struct discovery_place *list;
        size_t n, cap;
};

/* A place a name; who serves it remotely wins over who serves it here, as does the higher priority. */
static void add_place(struct places *p, const char *name, int32_t priority, const struct discovery_remote *remote)
{
        struct discovery_place *at = NULL;

        for (size_t i = 0; i < p->n && !at; i++)
                if (streq(p->list[i].name, name))
                        at = &p->list[i];
        if (!at) {
                array_reserve(p->list, p->cap, p->n + 1);
                at = &p->list[p->n++];
                *at = (struct discovery_place){name, priority, remote};
                return;
        }
        if (remote || priority > at->priority)
                at->priority = priority;
        at->remote = remote ? remote : at->remote;
}

static int by_group_priority(const void *x, const void *y)
{
        const struct discovery_place *a = x, *b = y;

        if (a->priority != b->priority)
                return a->priority > b->priority ? -1 : 1;
        return strcmp(a->name, b->name);
}

static int by_version_priority(const void *x, const void *y)
{
        const struct discovery_place *a = x, *b = y;

        if (a->priority != b->priority)
                return a->priority > b->priority ? -1 : 1;
        return discovery_version_cmp(a->name, b->name);
}

static void gather_groups(struct places *p, const struct discovery_extra *extra)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                if (builtin_groups[i].name[0])
                        add_place(p, builtin_groups[i].name, builtin_groups[i].priority, NULL);
        for (size_t i = 0; i < extra->n; i++)
                if (!i || !streq(extra->list[i]->group, extra->list[i - 1]->group))
                        add_place(p, extra->list[i]->group, CRD_GROUP_PRIORITY, NULL);
        for (size_t i = 0; i < extra->n_remotes; i++)
                if (extra->remotes[i]->group[0])
                        add_place(p, extra->remotes[i]->group, extra->remotes[i]->group_priority, NULL);
}

static void gather_versions(struct places *p, const struct discovery_extra *extra, const char *group)
{
        const struct api_group *g = builtin_group(group);

        for (size_t i = 0; g && g->versions[i]; i++)
                add_place(p, g->versions[i], g->version_priorities[i], NULL);
        for (const char *v = NULL; !g && (v = next_extra_version(extra, group, v));)
                add_place(p, v, CRD_VERSION_PRIORITY, NULL);
        for (size_t i = 0; i < extra->n_remotes; i++)
                if (streq(extra->remotes[i]->group, group))
                        add_place(p, extra->remotes[i]->version, extra->remotes[i]->version_priority, extra->remotes[i]);
}

struct discovery_place *discovery_order(const struct discovery_extra *extra, const char *group, size_t *ret_n)
{
        struct places p = { 0 };

        if (group)
                gather_versions(&p, extra, group);
        else
                gather_groups(&p, extra);
        if (p.n)
                qsort(p.list, p.n, sizeof(*p.list), group ? by_version_priority : by_group_priority);
        *ret_n = p.n;
        return p.list;
}

static bool has_remotes(const struct discovery_extra *extra, const char *group)
{
        for (size_t i = 0; extra && i < extra->n_remotes; i++)
                if (!group || streq(extra->remotes[i]->group, group))
                        return true;
        return false;
}

/* Calls FN for each version of GROUP, in the order of preference; the number of them. */
static size_t each_version(struct strbuf *out, const char *group, const struct discovery_extra *extra, version_fn *fn)
{
        const struct api_group *g = builtin_group(group);
        const char *v = NULL;
        size_t n = 0;

        if (has_remotes(extra, group)) {
                _cleanup_free_ struct discovery_place *places = discovery_order(extra, group, &n);

                for (size_t i = 0; i < n; i++) {
                        if (i)
                                strbuf_putc(out, ',');
                        fn(out, group, places[i].name, extra);
                }
                return n;
        }
        for (const char *const *version = g ? g->versions : NULL; version && *version; version++, n++) {
                if (n)
                        strbuf_putc(out, ',');
                fn(out, group, *version, extra);
        }
        while (!g && (v = next_extra_version(extra, group, v))) {
                if (n++)
                        strbuf_putc(out, ',');
                fn(out, group, v, extra);
        }
        return n;
}

/* Calls FN for each named group. The tables are in order; only groups of other servers have to be sorted in, behind
 * our own registration's, which upstream always names first. */
static void each_group(struct strbuf *out, const struct discovery_extra *extra,
                       void (*fn)(struct strbuf *out, const char *group, const struct discovery_extra *extra))
{
        bool first = true;

        if (has_remotes(extra, NULL)) {
                size_t n;
                _cleanup_free_ struct discovery_place *places = discovery_order(extra, NULL, &n);

                for (size_t i = 0; i < n; i++) {
                        if (i)
                                strbuf_putc(out, ',');
                        fn(out, places[i].name, extra);
                }
                return;
        }
        for (unsigned i = 0; i < n_builtin_groups; i++) {
                if (!builtin_groups[i].name[0])
                        continue;
                if (!first)
                        strbuf_putc(out, ',');
                first = false;
                fn(out, builtin_groups[i].name, extra);
        }
        for (size_t i = 0; extra && i < extra->n; i++) {
                const char *group = extra->list[i]->group;

                if ((i && streq(group, extra->list[i - 1]->group)) || builtin_group(group))
                        continue;
                strbuf_putc(out, ',');
                fn(out, group, extra);
        }
}

static const struct discovery_remote *find_remote(const struct discovery_extra *extra, const char *group, const char *version)
{
        for (size_t i = 0; extra && i < extra->n_remotes; i++)
                if (streq(extra->remotes[i]->group, group) && streq(extra->remotes[i]->version, version))
                        return extra->remotes[i];
        return NULL;
}

static struct buffer *finish(struct strbuf *out)
{
        struct buffer *b = buffer_new_copy(strbuf_str(out), out->len);

        strbuf_deinit(out);
        return b;
}

static void write_strings(struct strbuf *out, const char *key, const char *const *list)
{
        if (!list || !*list)
                return;
        strbuf_printf(out, ",\"%s\":[", key);
        for (size_t i = 0; list[i]; i++)
                strbuf_printf(out, "%s\"%s\"", i ? "," : "", list[i]);
        strbuf_putc(out, ']');
}

/* --- versions in order --- */

/* "v1beta2" -> 1, stage 1 (alpha 0, beta 1, GA 2), 2; false: no Kubernetes version. */
static bool parse_version(const char *s, long *major, int *stage, long *minor)
{
        char *end;

        if (s[0] != 'v' || s[1] < '1' || s[1] > '9')
                return false;
        *major = strtol(s + 1, &end, 10);
        *stage = 2;
        *minor = 0;
        if (!*end)
                return true;
        if (str_has_prefix(end, "alpha"))
                *stage = 0;
        else if (str_has_prefix(end, "beta"))
                *stage = 1;
        else
                return false;
        end += *stage ? 4 : 5;
        if (*end < '1' || *end > '9')
                return false;
        *minor = strtol(end, &end, 10);
        return !*end;
}

int discovery_version_cmp(const char *a, const char *b)
{
        long major_a, major_b, minor_a, minor_b;
        int stage_a, stage_b;
        bool is_a = parse_version(a, &major_a, &stage_a, &minor_a), is_b = parse_version(b, &major_b, &stage_b, &minor_b);

        if (!is_a || !is_b)
                return is_a ? -1 : is_b ? 1 : strcmp(a, b);
        if (stage_a != stage_b)
                return stage_b - stage_a;
        if (major_a != major_b)
                return major_a > major_b ? -1 : 1;
        return minor_a == minor_b ? 0 : minor_a > minor_b ? -1 : 1;
}

/* --- aggregated discovery --- */

static void write_response_kind(struct strbuf *out, const struct resource *r, const char *group, const char *version,
                                const char *kind)
{
        bool same = !r->crd && streq(group, r->group) && streq(version, r->version); /* of definitions it is said */

        strbuf_printf(out, "\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", same ? "" : group,
                      same ? "" : version, kind);
}

static void write_aggregated_resource(struct strbuf *out, const struct resource *r)
{
        strbuf_printf(out, "{\"resource\":\"%s\",", r->name);
        write_response_kind(out, r, r->group, r->version, r->kind);
        strbuf_printf(out, ",\"scope\":\"%s\",\"singularResource\":\"%s\"", r->namespaced ? "Namespaced" : "Cluster",
                      r->singular);
        write_strings(out, "verbs", r->verbs);
        write_strings(out, "shortNames", r->short_names);
        write_strings(out, "categories", r->categories);
        for (unsigned i = 0; i < r->n_subresources; i++) {
                const struct subresource *s = &r->subresources[i];

                strbuf_printf(out, "%s{\"subresource\":\"%s\",", i ? "," : ",\"subresources\":[", s->name);
                write_response_kind(out, r, s->group, s->version, s->kind);
                write_strings(out, "verbs", s->verbs);
                strbuf_putc(out, '}');
        }
        strbuf_puts(out, r->n_subresources ? "]}" : "}");
}

static void write_aggregated_version(struct strbuf *out, const char *group, const char *version,
                                     const struct discovery_extra *extra)
{
        const struct discovery_remote *remote = find_remote(extra, group, version);
        const struct resource *r;
        bool first = true;

        if (remote) {
                strbuf_printf(out, "{\"version\":\"%s\",%s%s%s\"freshness\":\"%s\"}", version,
                              streq(remote->resources, "[]") ? "" : "\"resources\":", streq(remote->resources, "[]") ? "" : remote->resources,
                              streq(remote->resources, "[]") ? "" : ",", remote->stale ? "Stale" : "Current");
                return;
        }
        strbuf_printf(out, "{\"version\":\"%s\",\"resources\":[", version);
        for (size_t i = 0; (r = resource_at(extra, i)); i++) {
                if (!streq(r->group, group) || !streq(r->version, version))
                        continue;
                if (!first)
                        strbuf_putc(out, ',');
                first = false;
                write_aggregated_resource(out, r);
        }
        strbuf_puts(out, "],\"freshness\":\"Current\"}");
}

static void write_aggregated_group(struct strbuf *out, const char *group, const struct discovery_extra *extra)
{
        strbuf_puts(out, "{\"metadata\":{");
        if (group[0])
                strbuf_printf(out, "\"name\":\"%s\",", group);
        strbuf_puts(out, "\"creationTimestamp\":null},\"versions\":[");
        each_version(out, group, extra, write_aggregated_version);
        strbuf_puts(out, "]}");
}

struct buffer *discovery_aggregated(bool core, const struct discovery_extra *extra, char ret_etag[DISCOVERY_ETAG])
{
        struct strbuf out = STRBUF_INIT;
        uint8_t hash[64];

        strbuf_puts(&out, "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"metadata\":{},"
                          "\"items\":[");
        if (core)
                write_aggregated_group(&out, "", NULL);
        else
                each_group(&out, extra, write_aggregated_group);
        strbuf_puts(&out, "]}");
        gnutls_hash_fast(GNUTLS_DIG_SHA512, out.data, out.len, hash);
        ret_etag[0] = '"';
        for (size_t i = 0; i < sizeof(hash); i++)
                snprintf(ret_etag + 1 + 2 * i, 3, "%02X", hash[i]);
        memcpy(ret_etag + 129, "\"", 2);
        return finish(&out);
}

/* --- legacy discovery --- */

struct buffer *discovery_versions(const char *server_address)
{
        struct strbuf out = STRBUF_INIT;

        strbuf_printf(&out,
                      "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":"
                      "[{\"clientCIDR\":\"0.0.0.0/0\",\"serverAddress\":\"%s\"}]}",
                      server_address);
        return finish(&out);
}

static void write_group_version(struct strbuf *out, const char *group, const char *version,
                                const struct discovery_extra *extra)
{
        strbuf_printf(out, "{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", group, version, version);
}

static const char *preferred_version(const char *group, const struct discovery_extra *extra)
{
        const struct api_group *g = builtin_group(group);

        if (has_remotes(extra, group)) { /* names live as long as what serves them, beyond the list */
                size_t n;
                _cleanup_free_ struct discovery_place *places = discovery_order(extra, group, &n);
                return places[0].name;
        }
        return g ? g->versions[0] : next_extra_version(extra, group, NULL);
}

static void write_group_body(struct strbuf *out, const char *group, const struct discovery_extra *extra)
{
        const char *preferred = preferred_version(group, extra);

        strbuf_printf(out, "\"name\":\"%s\",\"versions\":[", group);
        each_version(out, group, extra, write_group_version);
        strbuf_puts(out, "],\"preferredVersion\":");
        write_group_version(out, group, preferred, NULL);
        strbuf_putc(out, '}');
}

static void write_group(struct strbuf *out, const char *group, const struct discovery_extra *extra)
{
        strbuf_putc(out, '{');
        write_group_body(out, group, extra);
}

struct buffer *discovery_groups(const struct discovery_extra *extra)
{
        struct strbuf out = STRBUF_INIT;

        strbuf_puts(&out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
        each_group(&out, extra, write_group);
        strbuf_puts(&out, "]}");
        return finish(&out);
}

struct buffer *discovery_group(const char *group, const struct discovery_extra *extra)
{
        struct strbuf out = STRBUF_INIT;

        if (!group[0] || !preferred_version(group, extra))
                return NULL;
        strbuf_puts(&out, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
        write_group_body(&out, group, extra);
        return finish(&out);
}

static void write_resource(struct strbuf *out, const struct resource *r)
{
        strbuf_printf(out, "{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\"", r->name,
                      r->singular, r->namespaced ? "true" : "false", r->kind);
        write_strings(out, "verbs", r->verbs);
        write_strings(out, "shortNames", r->short_names);
        write_strings(out, "categories", r->categories);
        if (r->storage_hash)
                strbuf_printf(out, ",\"storageVersionHash\":\"%s\"", r->storage_hash);
        strbuf_putc(out, '}');
        for (unsigned i = 0; i < r->n_subresources; i++) {
                const struct subresource *s = &r->subresources[i];

                strbuf_printf(out, ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s", r->name, s->name,
                              r->namespaced ? "true" : "false");
                if (!streq(s->group, r->group) || !streq(s->version, r->version)) {
                        if (s->group[0])
                                strbuf_printf(out, ",\"group\":\"%s\"", s->group);
                        strbuf_printf(out, ",\"version\":\"%s\"", s->version);
                }
                strbuf_printf(out, ",\"kind\":\"%s\"", s->kind);
                write_strings(out, "verbs", s->verbs);
                strbuf_putc(out, '}');
        }
}

struct buffer *discovery_resources(const char *group, const char *version, const struct discovery_extra *extra)
{
        struct strbuf out = STRBUF_INIT;
        const struct resource *r;
        size_t n = 0;

        strbuf_printf(&out, "{\"kind\":\"APIResourceList\"%s,\"groupVersion\":\"%s%s%s\",\"resources\":[",
                      group[0] ? ",\"apiVersion\":\"v1\"" : "", group, group[0] ? "/" : "", version);
        for (size_t i = 0; (r = resource_at(extra, i)); i++) {
                if (!streq(r->group, group) || !streq(r->version, version))
                        continue;
                if (n++)
                        strbuf_putc(&out, ',');
                write_resource(&out, r);
        }
        if (!n) {
                strbuf_deinit(&out);
                return NULL;
        }
        strbuf_puts(&out, "]}");
        return finish(&out);
}

struct buffer *discovery_version(void)
{
        struct strbuf out = STRBUF_INIT;

        strbuf_printf(&out,
                      "{\"major\":\"%s\",\"minor\":\"%s\",\"emulationMajor\":\"%s\",\"emulationMinor\":\"%s\","
                      "\"minCompatibilityMajor\":\"1\",\"minCompatibilityMinor\":\"35\",\"gitVersion\":\"%s\","
                      "\"gitCommit\":\"%s\",\"gitTreeState\":\"clean\",\"buildDate\":\"%s\",\"goVersion\":\"go1.26\","
                      "\"compiler\":\"gc\",\"platform\":\"linux/%s\"}",
                      VERSION_MAJOR, VERSION_MINOR, VERSION_MAJOR, VERSION_MINOR, VERSION_GIT, VERSION_COMMIT,
                      VERSION_DATE, VERSION_ARCHITECTURE);
        return finish(&out);
}
