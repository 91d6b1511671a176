/* Warnings about pods and pod templates: what runs, but not as its writer may think
 * (upstream's GetWarningsForPodTemplate). Tables first, then what has to be counted. */
#include "names.h"
#include "rules.h"

#include "../../lib/base/encode.h"
#include "../../lib/meta/quantity.h"
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
};

static const struct {
        const char *source, *text;
} old_volumes[] = {
        { "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
        { "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+" },
        { "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
        { "flocker", "deprecated in v1.22, non-functional in v1.25+" },
        { "storageos", "deprecated in v1.22, non-functional in v1.25+" },
        { "quobyte", "deprecated in v1.22, non-functional in v1.25+" },
        { "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
        { "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
        { "rbd", "deprecated in v1.28, non-functional in v1.31+" },
};

static const struct {
        const char *annotation, *text;
        bool prefix;
} old_annotations[] = {
        { "scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead", false },
        { "security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead", false },
        { "security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead", false },
        { "seccomp.security.alpha.kubernetes.io/pod", "non-functional in v1.27+; use the \"seccompProfile\" field instead", false },
        { "container.seccomp.security.alpha.kubernetes.io/", "non-functional in v1.27+; use the \"seccompProfile\" field instead", true },
        { "container.apparmor.security.beta.kubernetes.io/", "deprecated since v1.30; use the \"appArmorProfile\" field instead", true },
};

static void warn_label(struct check *c, const struct at *at, const char *label)
{
        for (size_t i = 0; label && i < ARRAY_SIZE(old_labels); i++)
                if (streq(label, old_labels[i].label))
                        check_warn(c, at, "%s", old_labels[i].text);
}

static void warn_expressions(struct check *c, const struct at *term)
{
        const struct at *list = at_field(c, term, "matchExpressions");

        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *key = at_field(c, at_item(c, list, i), "key");
                warn_label(c, key, json_string(key->j));
        }
}

static void warn_scheduling(struct check *c, const struct at *spec)
{
        const struct at *selector = at_field(c, spec, "nodeSelector");
        const struct at *node = at_field(c, spec, "affinity.nodeAffinity");
        const struct at *terms = at_field(c, node, "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        const struct at *preferred = at_field(c, node, "preferredDuringSchedulingIgnoredDuringExecution");
        const struct at *spread = at_field(c, spec, "topologySpreadConstraints");

        json_foreach_member(selector->j, m)
                warn_label(c, at_entry(c, selector, m), m->key);
        for (size_t i = 0; i < json_len(terms->j); i++)
                warn_expressions(c, at_item(c, terms, i));
        for (size_t i = 0; i < json_len(preferred->j); i++)
                warn_expressions(c, at_field(c, at_item(c, preferred, i), "preference"));
        for (size_t i = 0; i < json_len(spread->j); i++) {
                const struct at *one = at_item(c, spread, i), *key = at_field(c, one, "topologyKey");
                warn_label(c, key, json_string(key->j));
                if (!json_get(one->j, "labelSelector"))
                        check_warn(c, at_field(c, one, "labelSelector"), "a null labelSelector results in matching no pod");
        }
}

static void warn_annotations(struct check *c, const struct at *annotations)
{
        json_foreach_member(annotations->j, m)
                for (size_t i = 0; i < ARRAY_SIZE(old_annotations); i++)
                        if (old_annotations[i].prefix ? str_has_prefix(m->key, old_annotations[i].annotation) :
                                                        streq(m->key, old_annotations[i].annotation))
                                check_warn(c, at_entry(c, annotations, m), "%s", old_annotations[i].text);
}

static void warn_volumes(struct check *c, const struct at *volumes)
{
        for (size_t i = 0; i < json_len(volumes->j); i++) {
                const struct at *v = at_item(c, volumes, i);
                const struct json *projected = json_get(v->j, "projected");
                for (size_t k = 0; k < ARRAY_SIZE(old_volumes); k++)
                        if (json_get(v->j, old_volumes[k].source))
                                check_warn(c, at_field(c, v, old_volumes[k].source), "%s", old_volumes[k].text);
                json_foreach_item(json_get(projected, "sources"), source)
                        if (json_is_object(source) && source->len == 0 && c->r)
                                request_warn(c->r, "volume \"%s\" (Projected) has no sources provided", json_get_string(v->j, "name"));
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

static void warn_env(struct check *c, const struct at *env)
{
        for (size_t i = 1; i < json_len(env->j); i++) {
                const char *name = json_get_string(json_at(env->j, i), "name");
                for (size_t k = 0; k < i; k++)
                        if (streq(name, json_get_string(json_at(env->j, k), "name"))) {
                                check_warn(c, at_item(c, env, i),
                                           "hides previous definition of \"%s\", which may be dropped when using apply", name);
                                break;
                        }
        }
}

/* Bytes come whole. What does not fit into 64 bits of thousandths is as odd to upstream. */
static void warn_fractions(struct check *c, const struct at *resources, const char *which)
{
        static const char *const names[] = { "memory", "ephemeral-storage" };
        const struct at *map = at_field(c, resources, which);

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const char *text = json_get_string(map->j, names[i]);
                struct json_member m = json_member_of(names[i], json_get(map->j, names[i]));

                if (text && quantity_seems_fractional(text))
                        check_warn(c, at_entry(c, map, &m), "fractional byte value \"%s\" is invalid, must be an integer", text);
        }
}

static void warn_ports(struct check *c, const struct at *ports)
{
        for (size_t i = 0; i < json_len(ports->j); i++) {
                const struct json *p = json_at(ports->j, i);
                const char *protocol = json_get_string(p, "protocol"), *name = json_get_string(p, "name");
                const char *ip = json_get_string(p, "hostIP");
                int64_t port = json_get_int(p, "containerPort", 0), host = json_get_int(p, "hostPort", 0);

                for (size_t k = 0; k < i; k++) {
                        const struct json *o = json_at(ports->j, k);
                        if (json_get_int(o, "containerPort", 0) == port && streq(json_get_string(o, "protocol"), protocol) &&
                            json_get_int(o, "hostPort", 0) == host) {
                                check_warn(c, at_item(c, ports, i), "duplicate port definition with %s",
                                           at_path(c, at_item(c, ports, k)));
                                break;
                        }
                }
                if (!str_empty(ip) && !host)
                        check_warn(c, at_item(c, ports, i),
                                   "hostIP set without hostPort: {Name:%s HostPort:0 ContainerPort:%lld Protocol:%s HostIP:%s}",
                                   name ? name : "", (long long)port, protocol ? protocol : "", ip);
        }
}

static void warn_containers(struct check *c, const struct at *spec)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
                const struct at *list = at_field(c, spec, lists[l]);
                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *k = at_item(c, list, i), *resources = at_field(c, k, "resources");
                        warn_fractions(c, resources, "limits");
                        warn_fractions(c, resources, "requests");
                        warn_env(c, at_field(c, k, "env"));
                        warn_ports(c, at_field(c, k, "ports"));
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
        warn_containers(c, spec);
        if (json_to_int(grace->j, &seconds) == 0 && seconds < 0)
                check_warn(c, grace, "must be >= 0; negative values are invalid and will be treated as 1");
}

void check_template_warnings(struct check *c, const struct at *at)
{
        if (!at_set(at))
                return;
        warn_annotations(c, at_field(c, at, "metadata.annotations"));
        warn_spec(c, at_field(c, at, "spec"));
}

void check_pod_warnings(struct check *c, const struct at *at)
{
        check_template_warnings(c, at);
}

/* --- names --- */

static void warn_name(struct check *c, const char *where)
{
        const struct at *name = at_field(c, c->root, "metadata.name");
        const char *messages[NAME_MESSAGES], *s = json_string(name->j) ? json_string(name->j) : "";
        unsigned n = name_check(c->a, NAME_DNS1123_LABEL, s, messages);

        /* A name with dots would be told the whole expression: upstream says it in three words. */
        if (n && strchr(s, '.'))
                messages[0] = "must not contain dots";
        if (n)
                check_warn(c, name, "this is used in %s, which can result in surprising behavior; a DNS label is recommended: [%s]",
                           where, messages[0]);
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

void check_mountable_secrets_warning(struct check *c, const struct at *at)
{
        static const char name[] = "kubernetes.io/enforce-mountable-secrets";
        struct json_member m = json_member_of(name, json_get(at->j, name));

        if (m.value)
                check_warn(c, at_entry(c, at, &m), "deprecated in v1.32+; prefer separate namespaces to isolate access to "
                                                   "mounted secrets");
}

/* A pair that no TLS server could be started with, as far as that can be seen without reading keys. */
void check_tls_warning(struct check *c, const struct at *at)
{
        static const struct {
                const char *key, *what;
        } parts[] = { { "tls.crt", "certificate" }, { "tls.key", "key" } };
        const struct json *data = json_get(at->j, "data");

        if (!streq(json_get_string(at->j, "type"), "kubernetes.io/tls"))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
                const char *text = json_get_string(data, parts[i].key);

                if (text && base64_decode(&pem, text, strlen(text), NULL) == 0 && strstr(strbuf_str(&pem), "-----BEGIN "))
                        continue;
                if (c->r)
                        request_warn(c->r, "tls: failed to find any PEM data in %s input", parts[i].what);
                return;
        }
}
