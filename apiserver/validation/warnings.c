/* Warnings about pods and pod templates: what runs, but not as its writer may think
 * (upstream's GetWarningsForPodTemplate). Tables first, then what has to be counted. */
#include <arpa/inet.h>

#include "names.h"
#include "rules.h"

#include "../../lib/meta/quantity.h"
#include "../schema/field-error.h"
#include "functions.h"

/* --- words that are no longer used --- */

static const struct {
        const char *label, *text;
} old_labels[] = {
        { "beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead" },
        { "beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead" },
        { "failure-domain.beta.kubernetes.io/region", "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead" },
        { "failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead" },
        { "beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead" },
        { "app.kubernetes.io/created-by", "deprecated since v1.9" },
        { "scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead" },
        { "node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead" },
};

static const struct {
        const char *source, *text;
        bool persistent; /* said of persistent volumes, too */
} old_volumes[] = {
        { "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+", true },
        { "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+", false },
        { "scaleIO", "deprecated in v1.16, non-functional in v1.22+", true },
        { "flocker", "deprecated in v1.22, non-functional in v1.25+", false },
        { "storageos", "deprecated in v1.22, non-functional in v1.25+", true },
        { "quobyte", "deprecated in v1.22, non-functional in v1.25+", false },
        { "glusterfs", "deprecated in v1.25, non-functional in v1.26+", true },
        { "cephfs", "deprecated in v1.28, non-functional in v1.31+", true },
        { "rbd", "deprecated in v1.28, non-functional in v1.31+", true },
};

static const struct {
        const char *annotation, *text;
} old_annotations[] = {
        { "scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead" },
        { "security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
        { "security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
};

/* Annotations that a field has taken the place of: told only where the field is not used. */
#define OLD_SECCOMP "seccomp.security.alpha.kubernetes.io/pod"
#define OLD_CONTAINER_SECCOMP "container.seccomp.security.alpha.kubernetes.io/"
#define OLD_APPARMOR "container.apparmor.security.beta.kubernetes.io/"
#define USE_SECCOMP_FIELD "non-functional in v1.27+; use the \"seccompProfile\" field instead"
#define USE_APPARMOR_FIELD "deprecated since v1.30; use the \"appArmorProfile\" field instead"

static const char *old_label(const char *label)
{
        for (size_t i = 0; label && i < ARRAY_SIZE(old_labels); i++)
                if (streq(label, old_labels[i].label))
                        return old_labels[i].text;
        return NULL;
}

/* AT is a string that names a label. */
static void warn_label(struct check *c, const struct at *at)
{
        const char *text = old_label(json_string(at->j));

        if (text)
                check_warn(c, at, "%s is %s", json_string(at->j), text);
}

/* Classes and capacities of storage, and classes of runtimes, name labels of nodes in their own ways. */
void check_old_label_warning(struct check *c, const struct at *at)
{
        const char *text = old_label(json_string(at->j));

        if (text)
                check_warn(c, at, "%s", text);
}

void check_old_keys_warning(struct check *c, const struct at *at)
{
        json_foreach_member(at->j, m)
                if (old_label(m->key))
                        check_warn(c, at, "%s", old_label(m->key));
}

void check_topology_warning(struct check *c, const struct at *selector)
{
        const struct at *list = at_field(c, selector, "matchExpressions");

        for (size_t i = 0; i < json_len(list->j); i++)
                warn_label(c, at_field(c, at_item(c, list, i), "key"));
        json_foreach_member(json_get(selector->j, "matchLabels"), m)
                if (c->r && old_label(m->key)) /* a field here, not a key */
                        request_warn(c->r, "%s.matchLabels.%s: %s", at_path(c, selector), m->key, old_label(m->key));
}

/* The keys of a term. VALUES: what no node can have is said, too (where it is no error). */
static void warn_expressions(struct check *c, const struct at *term, bool values)
{
        const struct at *list = at_field(c, term, "matchExpressions");

        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *key = at_field(c, at_item(c, list, i), "key"), *of = at_field(c, at_item(c, list, i), "values");
                const char *messages[NAME_MESSAGES];

                warn_label(c, key);
                for (size_t v = 0; values && v < json_len(of->j); v++) {
                        const char *value = json_string(json_at(of->j, v)) ?: "";
                        unsigned n = name_check(c->a, NAME_LABEL_VALUE, value, messages);

                        for (unsigned m = 0; m < n; m++)
                                check_warn(c, at_item(c, of, v), "%s is invalid, %s", value, messages[m]);
                }
        }
}

void check_node_terms_warning(struct check *c, const struct at *terms)
{
        for (size_t i = 0; i < json_len(terms->j); i++)
                warn_expressions(c, at_item(c, terms, i), false);
}

static void warn_null_selector(struct check *c, const struct at *holder)
{
        if (!json_get(holder->j, "labelSelector"))
                check_warn(c, at_field(c, holder, "labelSelector"), "a null labelSelector results in matching no pod");
}

static void warn_pod_affinity(struct check *c, const struct at *affinity)
{
        const struct at *required = at_field(c, affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        const struct at *preferred = at_field(c, affinity, "preferredDuringSchedulingIgnoredDuringExecution");

        for (size_t i = 0; i < json_len(required->j); i++)
                warn_null_selector(c, at_item(c, required, i));
        for (size_t i = 0; i < json_len(preferred->j); i++)
                warn_null_selector(c, at_field(c, at_item(c, preferred, i), "podAffinityTerm"));
}

static void warn_scheduling(struct check *c, const struct at *spec)
{
        const struct at *selector = at_field(c, spec, "nodeSelector");
        const struct at *node = at_field(c, spec, "affinity.nodeAffinity");
        const struct at *preferred = at_field(c, node, "preferredDuringSchedulingIgnoredDuringExecution");
        const struct at *spread = at_field(c, spec, "topologySpreadConstraints");

        json_foreach_member(selector->j, m)
                if (old_label(m->key))
                        check_warn(c, at_entry(c, selector, m), "%s", old_label(m->key));
        check_node_terms_warning(c, at_field(c, node, "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"));
        for (size_t i = 0; i < json_len(preferred->j); i++)
                warn_expressions(c, at_field(c, at_item(c, preferred, i), "preference"), true);
        for (size_t i = 0; i < json_len(spread->j); i++) {
                const struct at *one = at_item(c, spread, i);

                warn_label(c, at_field(c, one, "topologyKey"));
                warn_null_selector(c, one);
        }
        warn_pod_affinity(c, at_field(c, spec, "affinity.podAffinity"));
        warn_pod_affinity(c, at_field(c, spec, "affinity.podAntiAffinity"));
}

/* --- annotations --- */

static void warn_annotation(struct check *c, const struct at *annotations, const char *key, const char *text)
{
        struct json_member m = json_member_of(key, json_get(annotations->j, key));

        if (m.value)
                check_warn(c, at_entry(c, annotations, &m), "%s", text);
}

/* What is said of AppArmor is said of templates: a pod's annotation becomes the field before anybody looks here. */
static void warn_annotations(struct check *c, const struct at *annotations, const struct at *spec, bool template)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

        for (size_t i = 0; i < ARRAY_SIZE(old_annotations); i++)
                warn_annotation(c, annotations, old_annotations[i].annotation, old_annotations[i].text);
        if (!json_path(spec->j, "securityContext.seccompProfile"))
                warn_annotation(c, annotations, OLD_SECCOMP, USE_SECCOMP_FIELD);
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                json_foreach_item(json_get(spec->j, lists[l]), k) {
                        const char *name = json_get_string(k, "name") ?: "";

                        if (!json_path(k, "securityContext.seccompProfile"))
                                warn_annotation(c, annotations, arena_printf(c->a, OLD_CONTAINER_SECCOMP "%s", name),
                                                USE_SECCOMP_FIELD);
                        if (template && !json_path(spec->j, "securityContext.appArmorProfile") &&
                            !json_path(k, "securityContext.appArmorProfile"))
                                warn_annotation(c, annotations, arena_printf(c->a, OLD_APPARMOR "%s", name), USE_APPARMOR_FIELD);
                }
}

/* --- volumes --- */

/* What files come from: Secret "s". Put into words only where there is something to say. */
struct source {
        const char *sort, *name; /* NAME: NULL where there is none */
};

/* A file that a volume will have. */
struct placed {
        const char *path;
        struct source source; /* SORT: NULL where the volume has only one */
};

struct paths {
        struct check *c;
        const char *volume;    /* its name */
        struct source all;     /* what all of it comes from, or "Projected" */
        struct placed *list;
        size_t n, cap;
};

static const char *quoted(struct arena *a, const char *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_quote(&b, s, strlen(s));
        return arena_strndup(a, strbuf_str(&b), b.len);
}

static const char *source_text(struct check *c, const struct source *s)
{
        return s->name ? arena_printf(c->a, "%s %s", s->sort, quoted(c->a, s->name)) : s->sort;
}

static const char *placed_text(struct check *c, const struct placed *p)
{
        const char *path = quoted(c->a, p->path);

        return p->source.sort ? arena_printf(c->a, "%s (%s)", path, source_text(c, &p->source)) : path;
}

/* One is the other, or a folder on the way to it. */
static bool overlap(const char *x, const char *y)
{
        size_t nx = strlen(x), ny = strlen(y), n = MIN(nx, ny);

        return nx && ny && memcmp(x, y, n) == 0 && (nx == ny || (nx > ny ? x : y)[n] == '/');
}

static void add_path(struct paths *p, const char *path, struct source source)
{
        size_t n = strlen(path);
        struct placed new = { NULL, source };

        while (n && path[n - 1] == '/')
                n--;
        new.path = arena_strndup(p->c->a, path, n);
        for (size_t i = 0; i < p->n; i++)
                if (overlap(p->list[i].path, new.path) && p->c->r)
                        request_warn(p->c->r, "volume %s (%s): overlapping paths: %s with %s", quoted(p->c->a, p->volume),
                                     source_text(p->c, &p->all), placed_text(p->c, &new), placed_text(p->c, &p->list[i]));
        if (p->n == p->cap) {
                struct placed *more = arena_alloc(p->c->a, (p->cap = p->cap * 2 + 8) * sizeof(*more));

                if (p->n)
                        memcpy(more, p->list, p->n * sizeof(*more));
                p->list = more;
        }
        p->list[p->n++] = new;
}

static void add_items(struct paths *p, const struct json *from, struct source source)
{
        json_foreach_item(json_get(from, "items"), item)
                add_path(p, json_get_string(item, "path") ?: "", source);
}

static void warn_projected(struct check *c, const char *volume, const struct json *projected)
{
        struct paths p = { .c = c, .volume = volume, .all = { "Projected", NULL } };

        json_foreach_item(json_get(projected, "sources"), source) {
                const struct json *map = json_get(source, "configMap"), *secret = json_get(source, "secret");
                const struct json *down = json_get(source, "downwardAPI"), *token = json_get(source, "serviceAccountToken");

                if (!json_len(source) && c->r)
                        request_warn(c->r, "volume %s (Projected) has no sources provided", quoted(c->a, volume));
                if (map)
                        add_items(&p, map, (struct source){ "ConfigMap", json_get_string(map, "name") ?: "" });
                else if (secret)
                        add_items(&p, secret, (struct source){ "Secret", json_get_string(secret, "name") ?: "" });
                else if (down)
                        add_items(&p, down, (struct source){ "DownwardAPI", NULL });
                else if (token)
                        add_path(&p, json_get_string(token, "path") ?: "", (struct source){ "ServiceAccountToken", NULL });
        }
}

/* Files of a volume that stand in each other's place. */
static void warn_overlaps(struct check *c, const struct json *v)
{
        static const struct {
                const char *field, *sort, *name;
        } sorts[] = { { "configMap", "ConfigMap", "name" }, { "secret", "Secret", "secretName" }, { "downwardAPI", "DownwardAPI", NULL } };
        const char *volume = json_get_string(v, "name") ?: "";

        for (size_t i = 0; i < ARRAY_SIZE(sorts); i++) {
                const struct json *source = json_get(v, sorts[i].field);
                struct paths p = { .c = c, .volume = volume, .all = { sorts[i].sort, NULL } };

                if (!source)
                        continue;
                if (sorts[i].name)
                        p.all.name = json_get_string(source, sorts[i].name) ?: "";
                add_items(&p, source, (struct source){ NULL, NULL });
        }
        warn_projected(c, volume, json_get(v, "projected"));
}

static void warn_fraction(struct check *c, const struct at *amounts, const char *name);

void check_claim_warning(struct check *c, const struct at *spec)
{
        warn_fraction(c, at_field(c, spec, "resources.requests"), "storage");
        warn_fraction(c, at_field(c, spec, "resources.limits"), "storage");
}

/* AT holds a source of one of the kinds of volumes. */
static void warn_source(struct check *c, const struct at *at, bool persistent)
{
        for (size_t k = 0; k < ARRAY_SIZE(old_volumes); k++) {
                struct at *source;

                if (!json_get(at->j, old_volumes[k].source) || (persistent && !old_volumes[k].persistent))
                        continue;
                source = arena_memdup(c->a, at_field(c, at, old_volumes[k].source), sizeof(*source));
                if (streq(old_volumes[k].source, "storageos"))
                        source->shown = "storageOS"; /* so upstream spells it here */
                check_warn(c, source, "%s", old_volumes[k].text);
        }
}

static void warn_volumes(struct check *c, const struct at *volumes)
{
        for (size_t i = 0; i < json_len(volumes->j); i++) {
                const struct at *v = at_item(c, volumes, i);

                warn_source(c, v, false);
                if (json_path(v->j, "ephemeral.volumeClaimTemplate"))
                        check_claim_warning(c, at_field(c, v, "ephemeral.volumeClaimTemplate.spec"));
                warn_overlaps(c, v->j);
        }
}

void check_volume_source_warning(struct check *c, const struct at *spec)
{
        warn_source(c, spec, true);
}

/* --- addresses --- */

/* An address as Go's old parser reads it: zeros may lead the numbers of IPv4, and IPv4 may come as IPv6. RET_TEXT is how it
 * should be written. 4, 6 (IPv6 that stays so), or 0: it is none. */
static int read_address(struct arena *a, const char *text, size_t n, unsigned char bytes[16], const char **ret_text)
{
        static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
        char buf[INET6_ADDRSTRLEN], *copy = arena_strndup(a, text, n), *p = copy;

        if (!strchr(copy, ':')) {
                for (unsigned i = 0; i < 4; i++, p++) {
                        unsigned value = 0, digits = 0;

                        for (; *p >= '0' && *p <= '9' && value < 256; p++, digits++)
                                value = value * 10 + (unsigned)(*p - '0');
                        if (!digits || value > 255 || *p != (i < 3 ? '.' : '\0'))
                                return 0;
                        bytes[i] = (unsigned char)value;
                }
        } else if (inet_pton(AF_INET6, copy, bytes) != 1) {
                return 0;
        } else if (memcmp(bytes, mapped, sizeof(mapped)) != 0) {
                *ret_text = arena_strdup(a, inet_ntop(AF_INET6, bytes, buf, sizeof(buf)));
                return 6;
        } else {
                memmove(bytes, bytes + 12, 4);
        }
        *ret_text = arena_strdup(a, inet_ntop(AF_INET, bytes, buf, sizeof(buf)));
        return 4;
}

static void warn_address(struct check *c, const struct at *at, const char *text)
{
        unsigned char bytes[16];
        const char *canonical;
        int family = text ? read_address(c->a, text, strlen(text), bytes, &canonical) : 0;

        if (!family || streq(canonical, text))
                return;
        if (family == 4)
                check_warn(c, at, "non-standard IP address \"%s\" is invalid: use \"%s\"", text, canonical);
        else
                check_warn(c, at, "IPv6 address \"%s\" should be in RFC 5952 canonical format (\"%s\")", text, canonical);
}

/* AT is an address, or NULL. IPv6 has several spellings of one. */
void check_address_warning(struct check *c, const struct at *at)
{
        warn_address(c, at, json_string(at->j));
}

/* Controllers of our own write addresses as they should be. */
void check_slice_address_warning(struct check *c, const struct at *at)
{
        const char *by = json_get_string(json_path(c->obj, "metadata.labels"), "endpointslice.kubernetes.io/managed-by");

        if (!streq(by, "endpointslice-controller.k8s.io") && !streq(by, "endpointslicemirroring-controller.k8s.io"))
                warn_address(c, at, json_string(at->j));
}

/* Of a load balancer: the item is named, not its address. */
void check_ingress_address_warning(struct check *c, const struct at *item)
{
        warn_address(c, item, json_get_string(item->j, "ip"));
}

/* Bits behind the prefix may mean the range or the one address. */
void check_cidr_warning(struct check *c, const struct at *at)
{
        const char *text = json_string(at->j), *slash = text ? strchr(text, '/') : NULL, *canonical, *network;
        unsigned char bytes[16];
        int family = slash ? read_address(c->a, text, slash - text, bytes, &canonical) : 0;
        unsigned bits = family ? (unsigned)strtoul(slash + 1, NULL, 10) : 0, all = family == 4 ? 32 : 128;
        char buf[INET6_ADDRSTRLEN];
        bool ambiguous = false;

        if (!family)
                return;
        if (family == 4 && memchr(text, ':', slash - text))
                bits = bits >= 96 ? bits - 96 : 0;
        for (unsigned bit = bits; bit < all; bit++)
                if (bytes[bit / 8] >> (7 - bit % 8) & 1) {
                        ambiguous = true;
                        bytes[bit / 8] &= (unsigned char)~(1 << (7 - bit % 8));
                }
        network = arena_printf(c->a, "%s/%u", inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes, buf, sizeof(buf)), bits);
        if (ambiguous)
                check_warn(c, at, "CIDR value \"%s\" is ambiguous in this context (should be \"%s\" or \"%s/%u\"?)", text, network,
                           canonical, all);
        if (strlen(canonical) == (size_t)(slash - text) && memcmp(canonical, text, slash - text) == 0)
                return;
        if (family == 4)
                check_warn(c, at, "non-standard CIDR value \"%s\" is invalid: use \"%s\"", text, network);
        else if (!ambiguous)
                check_warn(c, at, "IPv6 CIDR value \"%s\" should be in RFC 5952 canonical format (\"%s%s\")", text, canonical, slash);
}

static void warn_addresses(struct check *c, const struct at *spec)
{
        const struct at *aliases = at_field(c, spec, "hostAliases"), *servers = at_field(c, spec, "dnsConfig.nameservers");

        for (size_t i = 0; i < json_len(servers->j); i++)
                check_address_warning(c, at_item(c, servers, i));
        for (size_t i = 0; i < json_len(aliases->j); i++) {
                const struct at *ip = at_field(c, at_item(c, aliases, i), "ip");

                check_address_warning(c, ip);
                for (size_t k = 0; k < i; k++)
                        if (streq(json_get_string(json_at(aliases->j, k), "ip"), json_string(ip->j))) {
                                check_warn(c, ip, "duplicate ip \"%s\"", json_string(ip->j));
                                break;
                        }
        }
}

static void warn_pull_secrets(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *name = at_field(c, at_item(c, list, i), "name");
                const char *s = json_string(name->j) ? json_string(name->j) : "";
                if (!*s)
                        check_warn(c, name, "invalid empty name \"\"");
                for (size_t k = 0; *s && k < i; k++)
                        if (streq(s, json_get_string(json_at(list->j, k), "name"))) {
                                check_warn(c, name, "duplicate name \"%s\"", s);
                                break;
                        }
        }
}

/* --- containers --- */

/* A second value may be built on the first: X=$(X):more. */
static bool hides(const struct json *env, const char *name)
{
        const char *value = json_get_string(env, "value") ?: "";
        size_t n = strlen(name);

        for (const char *p = value; !json_get(env, "valueFrom") && (p = strstr(p, "$(")) != NULL; p++)
                if (strncmp(p + 2, name, n) == 0 && p[2 + n] == ')')
                        return strlen(value) == n + 3; /* nothing but itself */
        return true;
}

static void warn_env(struct check *c, const struct at *env)
{
        for (size_t i = 1; i < json_len(env->j); i++) {
                const char *name = json_get_string(json_at(env->j, i), "name") ?: "";
                bool before = false;

                for (size_t k = 0; k < i; k++)
                        before |= streq(name, json_get_string(json_at(env->j, k), "name") ?: "");
                if (before && hides(json_at(env->j, i), name))
                        check_warn(c, at_item(c, env, i), "hides previous definition of \"%s\", which may be dropped when using apply",
                                   name);
        }
}

/* Bytes come whole. What does not fit into 64 bits of thousandths is as odd to upstream. */
static void warn_fraction(struct check *c, const struct at *amounts, const char *name)
{
        struct json_member m = json_member_of(name, json_get(amounts->j, name));
        const char *text = m.value ? json_string(m.value) : NULL;

        if (text && quantity_seems_fractional(text))
                check_warn(c, at_entry(c, amounts, &m), "fractional byte value \"%s\" is invalid, must be an integer", text);
}

static void warn_fractions(struct check *c, const struct at *amounts)
{
        warn_fraction(c, amounts, "memory");
        warn_fraction(c, amounts, "ephemeral-storage");
}

/* Two ports of one number and protocol, of containers of one pod: what that is called. NULL: they go together. */
static const char *port_conflict(const struct json *x, const struct json *y)
{
        const char *ip_x = json_get_string(x, "hostIP") ?: "", *ip_y = json_get_string(y, "hostIP") ?: "";
        int64_t host_x = json_get_int(x, "hostPort", 0), host_y = json_get_int(y, "hostPort", 0);

        if (host_x == host_y && streq(ip_x, ip_y))
                return "duplicate";
        if (!host_x || !host_y)
                return "overlapping";
        return host_x == host_y && !*ip_x != !*ip_y ? "dangerously ambiguous" : NULL;
}

/* The ports of a pod so far. */
struct ports {
        const struct at **list;
        size_t n, cap;
};

static void note_port(struct check *c, struct ports *seen, const struct at *at)
{
        if (seen->n == seen->cap) {
                const struct at **more = arena_alloc(c->a, (seen->cap = seen->cap * 2 + 8) * sizeof(*more));

                if (seen->n)
                        memcpy(more, seen->list, seen->n * sizeof(*more));
                seen->list = more;
        }
        seen->list[seen->n++] = at;
}

/* Port AT, beside all that came before it: those of the containers ahead and of its own. */
static void warn_port(struct check *c, const struct at *at, struct ports *seen)
{
        const struct json *port = at->j;
        const char *protocol = json_get_string(port, "protocol") ?: "", *ip = json_get_string(port, "hostIP") ?: "";
        int64_t number = json_get_int(port, "containerPort", 0);

        if (*ip && !json_get_int(port, "hostPort", 0))
                check_warn(c, at, "hostIP set without hostPort: {Name:%s HostPort:0 ContainerPort:%lld Protocol:%s HostIP:%s}",
                           json_get_string(port, "name") ?: "", (long long)number, protocol, ip);
        for (size_t i = 0; i < seen->n; i++) {
                const struct json *other = seen->list[i]->j;
                const char *what;

                if (json_get_int(other, "containerPort", 0) != number || !streq(json_get_string(other, "protocol") ?: "", protocol))
                        continue;
                what = port_conflict(port, other);
                if (what)
                        check_warn(c, at, "%s port definition with %s", what, at_path(c, seen->list[i]));
        }
        note_port(c, seen, at);
}

static const struct at *port_named(const struct ports *seen, const char *name)
{
        for (size_t i = 0; i < seen->n; i++)
                if (streq(json_get_string(seen->list[i]->j, "name"), name))
                        return seen->list[i];
        return NULL;
}

static void warn_port_names(struct check *c, const struct at *ports, struct ports *seen)
{
        for (size_t i = 0; i < json_len(ports->j); i++) {
                const struct at *port = at_item(c, ports, i), *other;
                const char *name = json_get_string(port->j, "name"), *path;

                if (str_empty(name))
                        continue;
                other = port_named(seen, name);
                if (!other) {
                        note_port(c, seen, port);
                        continue;
                }
                path = at_path(c, other);
                check_warn(c, port, "duplicate port name \"%s\" with %s, services and probes that select ports by name will use %s",
                           name, path, path);
        }
}

/* Names of ports of what runs side by side. As upstream, whose look ends at the first init container that is none of these. */
static void warn_all_port_names(struct check *c, const struct at *spec)
{
        const struct at *sidecars = at_field(c, spec, "initContainers"), *containers = at_field(c, spec, "containers");
        struct ports seen = { .n = 0 };

        for (size_t i = 0; i < json_len(sidecars->j); i++) {
                if (!streq(json_get_string(json_at(sidecars->j, i), "restartPolicy"), "Always"))
                        return;
                warn_port_names(c, at_field(c, at_item(c, sidecars, i), "ports"), &seen);
        }
        for (size_t i = 0; i < json_len(containers->j); i++)
                warn_port_names(c, at_field(c, at_item(c, containers, i), "ports"), &seen);
}

static void warn_containers(struct check *c, const struct at *spec)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
        struct ports seen = { .n = 0 };

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
                const struct at *list = at_field(c, spec, lists[l]);
                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *k = at_item(c, list, i), *ports = at_field(c, k, "ports");
                        warn_fractions(c, at_field(c, k, "resources.limits"));
                        warn_fractions(c, at_field(c, k, "resources.requests"));
                        warn_env(c, at_field(c, k, "env"));
                        for (size_t p = 0; p < json_len(ports->j); p++)
                                warn_port(c, at_item(c, ports, p), &seen);
                }
        }
}

static void warn_spec(struct check *c, const struct at *spec)
{
        const struct at *grace = at_field(c, spec, "terminationGracePeriodSeconds");
        int64_t seconds;

        warn_scheduling(c, spec);
        warn_pull_secrets(c, at_field(c, spec, "imagePullSecrets"));
        warn_volumes(c, at_field(c, spec, "volumes"));
        warn_addresses(c, spec);
        warn_fractions(c, at_field(c, spec, "overhead"));
        warn_containers(c, spec);
        warn_all_port_names(c, spec);
        if (json_to_int(grace->j, &seconds) == 0 && seconds < 0)
                check_warn(c, grace, "must be >= 0; negative values are invalid and will be treated as 1");
}

void check_template_warnings(struct check *c, const struct at *at)
{
        if (!at_set(at))
                return;
        warn_annotations(c, at_field(c, at, "metadata.annotations"), at_field(c, at, "spec"), true);
        warn_spec(c, at_field(c, at, "spec"));
}

/* Of a replication controller upstream looks at what there was. */
void check_old_template_warnings(struct check *c, const struct at *at)
{
        struct at was = *at;

        was.j = at->old ?: json_new_null(c->a);
        was.old = at->j;
        check_template_warnings(c, &was);
}

void check_pod_warnings(struct check *c, const struct at *at)
{
        warn_annotations(c, at_field(c, at, "metadata.annotations"), at_field(c, at, "spec"), false);
        warn_spec(c, at_field(c, at, "spec"));
}

/* --- names --- */

static void warn_name(struct check *c, const char *where)
{
        const struct at *name = at_field(c, c->root, "metadata.name");
        const char *messages[NAME_MESSAGES], *s = json_string(name->j) ? json_string(name->j) : "", *all = "";
        unsigned n = name_check(c->a, NAME_DNS1123_LABEL, s, messages);

        for (unsigned i = 0; i < n; i++)
                all = arena_printf(c->a, "%s%s%s", all, i ? " " : "", messages[i]);
        if (n)
                check_warn(c, name, "this is used in %s, which can result in surprising behavior; a DNS label is recommended: [%s]",
                           where, all);
}

void check_pod_name_warning(struct check *c, const struct at *at)
{
        unused(at);
        warn_name(c, "the Pod's hostname");
}

void check_name_warning(struct check *c, const struct at *at)
{
        unused(at);
        warn_name(c, "Pod names and hostnames");
}

/* --- services --- */

void check_service_warnings(struct check *c, const struct at *at)
{
        static const char hints[] = "service.kubernetes.io/topology-aware-hints", mode[] = "service.kubernetes.io/topology-mode";
        const struct json *spec = json_get(at->j, "spec");
        const char *type = json_get_string(spec, "type");
        bool headless = streq(type, "ClusterIP") && streq(json_get_string(spec, "clusterIP"), "None");
        bool external = json_len(json_get(spec, "externalIPs"));

        if (!c->r)
                return;
        if (json_get(json_path(at->j, "metadata.annotations"), hints))
                request_warn(c->r, "annotation %s is deprecated, please use %s instead", hints, mode);
        if (headless && !str_empty(json_get_string(spec, "loadBalancerIP")))
                request_warn(c->r, "spec.loadBalancerIP is ignored for headless services");
        if (headless && external)
                request_warn(c->r, "spec.externalIPs is ignored for headless services");
        if (headless && !streq(json_get_string(spec, "sessionAffinity"), "None"))
                request_warn(c->r, "spec.SessionAffinity is ignored for headless services");
        if (!headless && external && !streq(type, "ExternalName"))
                request_warn(c->r, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
        if (streq(json_get_string(spec, "trafficDistribution"), "PreferClose"))
                request_warn(c->r, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

/* --- small kinds --- */

void check_mountable_secrets_warning(struct check *c, const struct at *at)
{
        static const char name[] = "kubernetes.io/enforce-mountable-secrets";
        struct json_member m = json_member_of(name, json_get(at->j, name));

        if (m.value)
                check_warn(c, at_entry(c, at, &m), "deprecated in v1.32+; prefer separate namespaces to isolate access to "
                                                   "mounted secrets");
}
