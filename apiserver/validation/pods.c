/* What rules about pods cannot say: sources of which just one may be set, references between
 * containers and volumes, and which fields of a pod may change.
 */
#include "metadata.h"

#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"

#include "functions.h"

/* --- paths --- */

static bool has_backstep(const char *s)
{
        for (;;) {
                const char *end = strchrnul(s, '/');

                if (end - s == 2 && s[0] == '.' && s[1] == '.')
                        return true;
                if (!*end)
                        return false;
                s = end + 1;
        }
}

void check_no_backsteps(struct check *c, const struct at *at)
{
        if (has_backstep(json_string(at->j) ?: ""))
                check_invalid(c, at, "must not contain '..'");
}

void check_local_path(struct check *c, const struct at *at)
{
        if ((json_string(at->j) ?: "")[0] == '/')
                check_invalid(c, at, "must be a relative path");
        check_no_backsteps(c, at);
}

void check_local_non_reserved_path(struct check *c, const struct at *at)
{
        const char *s = json_string(at->j) ?: "";

        check_local_path(c, at);
        if (str_has_prefix(s, "..") && !str_has_prefix(s, "../"))
                check_invalid(c, at, "must not start with '..'");
}

/* --- one of several --- */

static const struct {
        const char *field, *type;
} volume_sources[] = {
        { "emptyDir", "EmptyDir" }, { "hostPath", "HostPath" }, { "gitRepo", "GitRepo" },
        { "gcePersistentDisk", "GCEPersistentDisk" }, { "awsElasticBlockStore", "AWSElasticBlockStore" },
        { "secret", "SecretVolume" }, { "nfs", "NFS" }, { "iscsi", "ISCSI" }, { "glusterfs", "Glusterfs" },
        { "flocker", "Flocker" }, { "persistentVolumeClaim", "PersistentVolumeClaimVolume" }, { "rbd", "RBD" },
        { "cinder", "Cinder" }, { "cephfs", "CephFS" }, { "quobyte", "Quobyte" },
        { "downwardAPI", "DownwardAPIVolume" }, { "fc", "FC" }, { "flexVolume", "FlexVolume" },
        { "configMap", "ConfigMapVolume" }, { "azureFile", "AzureFile" }, { "vsphereVolume", "VsphereVolume" },
        { "photonPersistentDisk", "PhotonPersistentDisk" }, { "portworxVolume", "PortworxVolume" },
        { "azureDisk", "AzureDisk" }, { "storageos", "StorageOS" }, { "projected", "Projected" },
        { "scaleIO", "ScaleIO" }, { "csi", "CSIVolume" }, { "ephemeral", "EphemeralVolume" },
        { "image", "ImageVolume" },
};

void check_volume_source(struct check *c, const struct at *at)
{
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(volume_sources); i++) {
                const struct at *source = at_field(c, at, volume_sources[i].field);

                if (!at_set(source))
                        continue;
                if (n++)
                        check_forbidden(c, source, "may not specify more than 1 volume type");
                else
                        rules_use(c, volume_sources[i].type, source);
        }
        if (!n)
                check_required(c, at, "must specify a volume type");
}

void check_port(struct check *c, const struct at *port)
{
        int64_t v;

        if (json_is_string(port->j))
                check_name(c, port, NAME_PORT);
        else if (json_to_int(port->j, &v) == 0 && (v < 1 || v > 65535))
                check_invalid(c, port, "must be between 1 and 65535, inclusive");
}

static void check_http_get(struct check *c, const struct at *http)
{
        static const char *const schemes[] = { "HTTP", "HTTPS", NULL };
        const struct at *path = at_field(c, http, "path"), *headers = at_field(c, http, "httpHeaders");

        if (at_empty(path))
                check_required(c, path, NULL);
        check_port(c, at_field(c, http, "port"));
        check_enum(c, at_field(c, http, "scheme"), schemes);
        json_foreach_item(headers->j, h)
                name_validate(c->errs, NAME_HTTP_HEADER, at_path(c, headers), json_get(h, "name"));
}

/* The pod spec around AT. */
static const struct at *pod_spec(const struct at *at)
{
        while (at->up && !json_get(at->j, "containers"))
                at = at->up;
        return at;
}

static void check_sleep(struct check *c, const struct at *sleep)
{
        int64_t grace = json_get_int(pod_spec(sleep)->j, "terminationGracePeriodSeconds", -1);
        int64_t seconds = json_get_int(sleep->j, "seconds", 0);

        if (grace >= 0 && (seconds < 0 || seconds > grace))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, sleep), json_new_int(c->a, seconds),
                                "must be non-negative and less than terminationGracePeriodSeconds (%lld)", (long long)grace);
}

static void check_handler(struct check *c, const struct at *at, const char *const *fields)
{
        unsigned n = 0;

        for (; *fields; fields++) {
                const struct at *h = at_field(c, at, *fields), *command = at_field(c, h, "command");

                if (!at_set(h))
                        continue;
                if (n++)
                        check_forbidden(c, h, "may not specify more than 1 handler type");
                else if (streq(*fields, "exec") && at_empty(command))
                        check_required(c, command, NULL);
                else if (streq(*fields, "httpGet"))
                        check_http_get(c, h);
                else if (streq(*fields, "sleep"))
                        check_sleep(c, h);
                else if (streq(*fields, "tcpSocket") || streq(*fields, "grpc"))
                        check_port(c, at_field(c, h, "port"));
        }
        if (!n)
                check_required(c, at, "must specify a handler type");
}

void check_probe_handler(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "exec", "httpGet", "tcpSocket", "grpc", NULL };

        check_handler(c, at, fields);
}

void check_lifecycle_handler(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "exec", "httpGet", "tcpSocket", "sleep", NULL };

        check_handler(c, at, fields);
}

static unsigned count_set(const struct at *at, const char *const *fields)
{
        unsigned n = 0;

        for (; *fields; fields++) {
                const struct json *j = json_get(at->j, *fields);

                n += j && !json_is_null(j);
        }
        return n;
}

/* The sources as such are shown as an empty string. */
static void source_error(struct check *c, const struct at *at, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "%s", detail);
}

void check_env_source(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef",
                                              "fileKeyRef", NULL };
        unsigned n = count_set(at, fields);

        if (!n)
                source_error(c, at, "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                                    "`secretKeyRef` or `fileKeyRef`");
        else if (!str_empty(json_get_string(at->up->j, "value")))
                source_error(c, at, "may not be specified when `value` is not empty");
        else if (n > 1)
                source_error(c, at, "may not have more than one field specified at a time");
}

void check_env_from(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "configMapRef", "secretRef", NULL };
        unsigned n = count_set(at, fields);

        if (!n)
                source_error(c, at->up, "must specify one of: `configMapRef` or `secretRef`");
        else if (n > 1)
                source_error(c, at->up, "may not have more than one field specified at a time");
}

/* --- references --- */

/* Errors name the list, not the element. */
void check_resize_policies(struct check *c, const struct at *at)
{
        static const char *const resources[] = { "cpu", "memory", NULL };
        static const char *const policies[] = { "NotRequired", "RestartContainer", NULL };

        json_foreach_item(at->j, one) {
                const struct at resource = { .up = at->up, .name = at->name, .j = json_get(one, "resourceName"), .s = at->s };
                const struct at policy = { .up = at->up, .name = at->name, .j = json_get(one, "restartPolicy"), .s = at->s };

                for (size_t i = 0; i < one_i; i++)
                        if (json_equal(json_get(json_at(at->j, i), "resourceName"), resource.j))
                                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), resource.j, NULL);
                if (at_empty(&resource))
                        check_required(c, at, NULL);
                else
                        check_enum(c, &resource, resources);
                if (at_empty(&policy))
                        check_required(c, at, NULL);
                else
                        check_enum(c, &policy, policies);
        }
}

void check_mount_volume(struct check *c, const struct at *at)
{
        const struct at *top = at;

        json_foreach_item(json_get(pod_spec(at)->j, "volumes"), v)
                if (json_equal(json_get(v, "name"), at->j))
                        return;
        while (top->up)
                top = top->up;
        /* A StatefulSet's pods get a volume of each of its claims. */
        json_foreach_item(json_path(top->j, "spec.volumeClaimTemplates"), t)
                if (json_equal(json_path(t, "metadata.name"), at->j))
                        return;
        field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, at), at->j, NULL);
}

void check_port_name_once(struct check *c, const struct at *at)
{
        const struct at *item = at->up;

        if (at_empty(at))
                return;
        for (size_t i = 0; i < item->index; i++)
                if (json_equal(json_get(json_at(item->up->j, i), "name"), at->j)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), at->j, NULL);
                        return;
                }
}

void check_init_names(struct check *c, const struct at *at)
{
        const struct json *containers = json_get(pod_spec(at)->j, "containers");

        for (size_t i = 0; i < json_len(at->j); i++) {
                const struct at *name = at_field(c, at_item(c, at, i), "name");
                bool there = false;

                json_foreach_item(containers, k)
                        there |= json_equal(json_get(k, "name"), name->j);
                for (size_t k = 0; k < i; k++)
                        there |= json_equal(json_get(json_at(at->j, k), "name"), name->j);
                if (there && !at_empty(name))
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, name), name->j, NULL);
        }
}

/* --- resources --- */

static void check_resource_name(struct check *c, const struct at *entry)
{
        static const char *const standard[] = { "cpu", "memory", "ephemeral-storage", NULL };
        const struct json *name;
        const char *path;

        for (size_t i = 0; standard[i]; i++)
                if (streq(standard[i], entry->name))
                        return;
        name = json_new_string(c->a, entry->name);
        path = at_path(c, entry);
        name_validate(c->errs, NAME_QUALIFIED, path, name);
        if (strchr(entry->name, '/') || str_has_prefix(entry->name, "hugepages-"))
                return;
        if (!streq(entry->name, "storage"))
                field_error_add(c->errs, FIELD_INVALID, path, name, "must be a standard resource type or fully qualified");
        field_error_add(c->errs, FIELD_INVALID, path, name, "must be a standard resource for containers");
}

static bool quantity_of(const struct json *j, struct quantity *ret)
{
        const char *s = json_is_string(j) || json_is_number(j) ? j->str : NULL;

        return s && quantity_parse(s, ret) == 0;
}

static void check_amounts(struct check *c, const struct at *map)
{
        json_foreach_member(map->j, m) {
                const struct at *e = at_entry(c, map, m);
                struct quantity q;

                check_resource_name(c, e);
                if (quantity_of(m->value, &q) && q.nano < 0)
                        check_invalid(c, e, "must be greater than or equal to 0");
        }
}

void check_resources(struct check *c, const struct at *at)
{
        const struct at *limits = at_field(c, at, "limits"), *requests = at_field(c, at, "requests");

        check_amounts(c, limits);
        json_foreach_member(requests->j, m) {
                const struct at *e = at_entry(c, requests, m);
                const struct json *limit = json_getn(limits->j, m->key, m->key_len);
                bool overcommit = !strchr(m->key, '/') && !str_has_prefix(m->key, "hugepages-");
                struct quantity q, l;

                check_resource_name(c, e);
                if (!quantity_of(m->value, &q))
                        continue;
                if (q.nano < 0)
                        check_invalid(c, e, "must be greater than or equal to 0");
                if (limit && quantity_of(limit, &l)) {
                        if (!overcommit && quantity_cmp(&q, &l) != 0)
                                field_error_add(c->errs, FIELD_INVALID, at_path(c, requests), m->value,
                                                "must be equal to %s limit of %s", m->key, limit->str);
                        else if (overcommit && quantity_cmp(&q, &l) > 0)
                                field_error_add(c->errs, FIELD_INVALID, at_path(c, requests), m->value,
                                                "must be less than or equal to %s limit of %s", m->key, limit->str);
                } else if (!overcommit) {
                        check_required(c, limits, "Limit must be set for non overcommitable resources");
                }
        }
}

/* --- scheduling --- */

void check_required_then_qualified(struct check *c, const struct at *at)
{
        if (at_empty(at))
                check_required(c, at, "can not be empty");
        check_name(c, at, NAME_QUALIFIED);
}

void check_node_requirement(struct check *c, const struct at *at)
{
        const struct at *op = at_field(c, at, "operator"), *values = at_field(c, at, "values");
        const char *o = json_string(op->j) ?: "";

        if ((streq(o, "In") || streq(o, "NotIn")) && !json_len(values->j))
                check_required(c, values, "must be specified when `operator` is 'In' or 'NotIn'");
        else if ((streq(o, "Exists") || streq(o, "DoesNotExist")) && json_len(values->j))
                check_forbidden(c, values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        else if ((streq(o, "Gt") || streq(o, "Lt")) && json_len(values->j) != 1)
                check_required(c, values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        else if (!streq(o, "In") && !streq(o, "NotIn") && !streq(o, "Exists") && !streq(o, "DoesNotExist") &&
                 !streq(o, "Gt") && !streq(o, "Lt"))
                check_invalid(c, op, "not a valid selector operator");
        check_name(c, at_field(c, at, "key"), NAME_QUALIFIED);
}

void check_toleration(struct check *c, const struct at *at)
{
        static const char *const operators[] = { "Equal", "Exists", NULL };
        static const char *const all_operators[] = { "Equal", "Exists", "Lt", "Gt", NULL };
        static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
        const struct at *key = at_field(c, at, "key"), *op = at_field(c, at, "operator");
        const struct at *value = at_field(c, at, "value"), *effect = at_field(c, at, "effect");
        const char *o = json_string(op->j) ?: "", *messages[NAME_MESSAGES];

        if (!at_empty(key))
                check_name(c, key, NAME_QUALIFIED);
        else if (!streq(o, "Exists"))
                check_invalid(c, op, "operator must be Exists when `key` is empty, which means \"match all values and "
                                     "all keys\"");
        if (json_is_number(json_get(at->j, "tolerationSeconds")) && !streq(json_string(effect->j), "NoExecute"))
                check_invalid(c, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        if (streq(o, "") || streq(o, "Equal")) {
                if (name_check(c->a, NAME_LABEL_VALUE, json_string(value->j) ?: "", messages))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, op), value->j, "%s", messages[0]);
        } else if (streq(o, "Exists")) {
                if (!at_empty(value))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, op), value->j,
                                        "value must be empty when `operator` is 'Exists'");
        } else {
                field_error_not_supported(c->errs, at_path(c, op), op->j,
                                          streq(o, "Gt") || streq(o, "Lt") ? all_operators : operators);
        }
        if (!at_empty(effect))
                check_enum(c, effect, effects);
}

void check_dns_config(struct check *c, const struct at *at)
{
        const struct at *config = at_field(c, at, "dnsConfig"), *servers = at_field(c, config, "nameservers");

        if (streq(json_get_string(at->j, "dnsPolicy"), "None")) {
                if (!at_set(config))
                        check_required(c, config, "must provide `dnsConfig` when `dnsPolicy` is None");
                else if (!json_len(servers->j))
                        check_required(c, servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
        if (json_len(servers->j) > 3)
                check_invalid(c, servers, "must not have more than 3 nameservers");
        for (size_t i = 0; i < json_len(servers->j); i++)
                check_name(c, at_item(c, servers, i), NAME_IP);
        for (size_t i = 0; i < json_len(json_get(config->j, "searches")); i++)
                check_name(c, at_item(c, at_field(c, config, "searches"), i), NAME_SUBDOMAIN_UNDERSCORE);
        for (size_t i = 0; i < json_len(json_get(config->j, "options")); i++) {
                const struct at *option = at_item(c, at_field(c, config, "options"), i);

                if (str_empty(json_get_string(option->j, "name")))
                        check_required(c, option, "must not be empty");
        }
}

void check_share_process_namespace(struct check *c, const struct at *at)
{
        const struct at *share = at_field(c, at->up, "shareProcessNamespace");

        if (json_is_true(share->j) && json_get_bool(at->up->j, "hostPID", false))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.shareProcessNamespace", at_path(c, at)),
                                share->j, "ShareProcessNamespace and HostPID cannot both be enabled");
}

/* --- templates and pods --- */

/* Upstream leaves "metadata" out of the paths of templates. */
static const struct at *without_metadata(struct check *c, const struct at *template, const char *name)
{
        struct at *f = arena_memdup(c->a, at_field(c, template, name), sizeof(*f));

        f->j = json_get(json_get(template->j, "metadata"), name) ?: f->j;
        return f;
}

void check_template_metadata(struct check *c, const struct at *at)
{
        check_labels(c, without_metadata(c, at, "labels"));
        check_annotations(c, without_metadata(c, at, "annotations"));
}

void check_selects_template(struct check *c, const struct at *at)
{
        const struct at *labels = at_field(c, at, "metadata.labels");
        const struct json *selector = json_get(at->up->j, "selector");
        struct selector s = { 0 };

        if (selector && selector_from_object(c->a, selector, &s, NULL) != 0)
                return;
        if (!selector || !selector_matches(&s, json_is_object(labels->j) ? labels->j : NULL))
                check_invalid(c, labels, "`selector` does not match template `labels`");
}

/* --- Go's view of a struct --- */

/* For people: the fields of two specs that differ, before and after. */
static const char *changed_fields(struct check *c, const struct at *spec, const struct json *old)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const struct json *sides[] = { old, spec->j };

        strbuf_puts(&b, "@@ -1 +1 @@\n");
        for (unsigned i = 0; i < spec->s->n_fields; i++) {
                const char *field = spec->s->fields[i].name;

                for (size_t k = 0; k < 2 && !json_equal(json_get(old, field), json_get(spec->j, field)); k++) {
                        strbuf_printf(&b, "%c%s: ", k ? '+' : '-', field);
                        strbuf_puts(&b, go_value(c, spec->s->fields[i].type, json_get(sides[k], field)));
                        strbuf_puts(&b, "\n");
                }
        }
        return arena_strndup(c->a, strbuf_str(&b), b.len);
}

/* A copy of SPEC in which all that an update may change is as in LIKE. */
static struct json *munge(struct arena *a, const struct json *spec, const struct json *like)
{
        static const char *const free_fields[] = { "activeDeadlineSeconds", "tolerations" };
        static const char *const gated_fields[] = { "schedulingGates", "nodeSelector", "affinity" };
        static const char *const lists[] = { "containers", "initContainers" };
        bool gated = json_len(json_get(like, "schedulingGates")) > 0;
        struct json *out = json_clone(a, spec);
        int64_t was = json_get_int(like, "terminationGracePeriodSeconds", 0);

        for (size_t i = 0; i < ARRAY_SIZE(free_fields) + (gated ? ARRAY_SIZE(gated_fields) : 0); i++) {
                const char *field = i < ARRAY_SIZE(free_fields) ? free_fields[i] : gated_fields[i - ARRAY_SIZE(free_fields)];
                struct json *v = json_get(like, field);

                json_del(out, field);
                if (v)
                        json_set(a, out, field, v);
        }
        if (was < 0 && json_get_int(out, "terminationGracePeriodSeconds", 0) == 1)
                json_set_int(a, out, "terminationGracePeriodSeconds", was);
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(out, lists[i]), k) {
                        struct json *image = json_get(json_at(json_get(like, lists[i]), k_i), "image");

                        if (image)
                                json_set(a, k, "image", image);
                }
        return out;
}

static void check_pod_update(struct check *c, const struct at *spec)
{
        const struct json *old = json_get(c->old, "spec");
        const struct at *containers = at_field(c, spec, "containers");

        for (size_t i = 0; i < json_len(containers->j); i++) {
                const struct at *image = at_field(c, at_item(c, containers, i), "image");

                if (at_empty(image)) /* once more than on creation */
                        check_required(c, image, NULL);
        }
        if (json_len(containers->j) != json_len(json_get(old, "containers"))) {
                check_forbidden(c, containers, "pod updates may not add or remove containers");
                return;
        }
        if (!json_equal(munge(c->a, spec->j, old), old)) /* a client reads below what differs */
                check_forbidden(c, spec, "pod updates may not change fields other than "
                                         "`spec.containers[*].image`,`spec.initContainers[*].image`,"
                                         "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
                                         "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
                                         "if it was previously negative)\n%s", changed_fields(c, spec, old));
}

void check_pod(struct check *c, const struct at *at)
{
        const struct at *spec = at_field(c, at, "spec"), *extra = at_field(c, spec, "ephemeralContainers");

        rules_use(c, "PodSpec", spec);
        if (c->old)
                check_pod_update(c, spec);
        else if (json_len(extra->j))
                check_forbidden(c, extra, "cannot be set on create");
}

/* --- small kinds --- */

void check_config_key(struct check *c, const struct at *at)
{
        name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at), at->name);
}

bool cond_was_immutable(struct check *c, const struct at *at)
{
        unused(at);
        return json_get_bool(c->old, "immutable", false);
}

bool cond_over_two(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->j) > 2;
}

void check_service_ports(struct check *c, const struct at *at)
{
        const struct json *spec = at->up->j;

        if (!json_len(at->j) && !streq(json_get_string(spec, "clusterIP"), "None") &&
            !streq(json_get_string(spec, "type"), "ExternalName"))
                check_required(c, at, NULL);
}

bool cond_several_ports(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->up->up->j) > 1;
}

bool cond_deadline_too_soon(struct check *c, const struct at *at)
{
        int64_t seconds;

        unused(c);
        return json_to_int(at->j, &seconds) == 0 && seconds <= json_get_int(at->up->j, "minReadySeconds", 0);
}

void check_int_or_percent(struct check *c, const struct at *at)
{
        int64_t n;

        if (json_is_string(at->j))
                check_name(c, at, NAME_PERCENT);
        else if (json_to_int(at->j, &n) == 0 && n < 0)
                check_invalid(c, at, "must be greater than or equal to 0");
}

static long amount(const struct at *at)
{
        const char *text = json_is_string(at->j) || json_is_number(at->j) ? at->j->str : "1";

        return strtol(text, NULL, 10);
}

void check_rolling_update(struct check *c, const struct at *at)
{
        const struct at *unavailable = at_field(c, at, "maxUnavailable"), *surge = at_field(c, at, "maxSurge");

        if (at_set(unavailable) && at_set(surge) && amount(unavailable) == 0 && amount(surge) == 0)
                check_invalid(c, unavailable, "may not be 0 when `maxSurge` is 0");
        if (json_is_string(unavailable->j) && amount(unavailable) > 100)
                check_invalid(c, unavailable, "must not be greater than 100%%");
}

