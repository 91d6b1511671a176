/* Volumes: their sources, what mounts and files refer to, paths below them. */
#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "metadata.h"

static bool in_list(const char *const *list, const char *s)
{
        for (; *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

/* --- paths --- */

bool cond_backsteps(struct check *c, const struct at *at)
{
        const char *s = text_at(at);

        unused(c);
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
        if (cond_backsteps(c, at))
                check_invalid(c, at, "must not contain '..'");
}

void check_local_path(struct check *c, const struct at *at)
{
        if (*text_at(at) == '/')
                check_invalid(c, at, "must be a relative path");
        check_no_backsteps(c, at);
}

void check_local_non_reserved_path(struct check *c, const struct at *at)
{
        const char *s = text_at(at);

        check_local_path(c, at);
        if (str_has_prefix(s, "..") && !str_has_prefix(s, "../"))
                check_invalid(c, at, "must not start with '..'");
}

/* --- one of several --- */

static const struct {
        const char *field, *type;
        const char *shown, *second; /* what errors inside it, and that it is one too many, call it; NULL: its name */
} volume_sources[] = {
        { "emptyDir", "EmptyDir" },
        { "hostPath", "HostPath" },
        { "gitRepo", "GitRepo" },
        { "gcePersistentDisk", "GCEPersistentDisk", "persistentDisk" },
        { "awsElasticBlockStore", "AWSElasticBlockStore" },
        { "secret", "SecretVolume" },
        { "nfs", "NFS" },
        { "iscsi", "ISCSI" },
        { "glusterfs", "Glusterfs" },
        { "flocker", "Flocker" },
        { "persistentVolumeClaim", "PersistentVolumeClaimVolume" },
        { "rbd", "RBD" },
        { "cinder", "Cinder" },
        { "cephfs", "CephFS", NULL, "cephFS" },
        { "quobyte", "Quobyte" },
        { "downwardAPI", "DownwardAPIVolume", NULL, "downwarAPI" },
        { "fc", "FC" },
        { "flexVolume", "FlexVolume" },
        { "configMap", "ConfigMapVolume" },
        { "azureFile", "AzureFile" },
        { "vsphereVolume", "VsphereVolume" },
        { "photonPersistentDisk", "PhotonPersistentDisk" },
        { "portworxVolume", "PortworxVolume" },
        { "azureDisk", "AzureDisk" },
        { "storageos", "StorageOS" },
        { "projected", "Projected" },
        { "scaleIO", "ScaleIO" },
        { "csi", "CSIVolume" },
        { "ephemeral", "EphemeralVolume" },
        { "image", "ImageVolume" },
};

static const struct at *called(struct check *c, const struct at *at, const char *shown)
{
        struct at *f = arena_memdup(c->a, at, sizeof(*f));

        f->shown = shown;
        return f;
}

/* The claim of an ephemeral volume is named after the pod and the volume. */
static void check_claim_name(struct check *c, const struct at *volume)
{
        const struct at *name = at_field(c, volume, "name");
        const char *pod = json_path_string(c->obj, "metadata.name"), *messages[NAME_MESSAGES], *claim;
        unsigned n;

        if (!streq(c->res->kind, "Pod") || str_empty(pod) || !*text_at(name))
                return;
        claim = arena_printf(c->a, "%s-%s", pod, text_at(name));
        n = name_check(c->a, NAME_DNS1123_SUBDOMAIN, claim, messages);
        for (unsigned i = 0; i < n; i++)
                check_invalid(c, name, "PVC name \"%s\": %s", claim, messages[i]);
}

void check_volume_source(struct check *c, const struct at *at)
{
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(volume_sources); i++) {
                const struct json *there = json_get(at->j, volume_sources[i].field);
                const struct at *source;

                if (!there || json_is_null(there))
                        continue;
                source = at_field(c, at, volume_sources[i].field);
                if (n++) {
                        check_forbidden(c, called(c, source, volume_sources[i].second), "may not specify more than 1 volume type");
                        continue;
                }
                rules_use(c, volume_sources[i].type, called(c, source, volume_sources[i].shown));
                if (streq(volume_sources[i].field, "ephemeral"))
                        check_claim_name(c, at);
        }
        if (!n)
                check_required(c, at, "must specify a volume type");
}

/* A stateful set's pods get a volume of each of its claims, before those of the template. */
static const struct json *volumes_of(struct check *c, const struct at *spec)
{
        const struct json *claims = json_path(c->obj, "spec.volumeClaimTemplates"), *own = json_get(spec->j, "volumes");
        struct json *all;

        if (!streq(c->res->kind, "StatefulSet") || !json_len(claims))
                return own;
        all = json_new_array(c->a);
        json_foreach_item(claims, t) {
                struct json *v = json_new_object(c->a), *source = json_new_object(c->a);
                const char *name = json_path_string(t, "metadata.name") ?: "";
                bool again = false;

                for (size_t i = 0; i < t_i; i++)
                        again |= streq(json_path_string(json_at(claims, i), "metadata.name") ?: "", name);
                if (again)
                        continue;
                json_set_string(c->a, v, "name", name);
                json_set_string(c->a, source, "claimName", name);
                json_set(c->a, v, "persistentVolumeClaim", source);
                json_append(c->a, all, v);
        }
        json_foreach_item(own, v) {
                bool replaced = false;

                json_foreach_item(claims, t)
                        replaced |= streq(json_path_string(t, "metadata.name") ?: "", json_get_string(v, "name") ?: "");
                if (!replaced)
                        json_append(c->a, all, v);
        }
        return all;
}

/* Volumes; those that are refused are not there for mounts. */
void check_volumes(struct check *c, const struct at *spec)
{
        struct at *list = arena_memdup(c->a, at_field(c, spec, "volumes"), sizeof(*list));
        const char *pod = json_path_string(c->obj, "metadata.name");
        struct json *good = json_new_array(c->a);

        list->j = volumes_of(c, spec) ?: json_new_null(c->a);
        for (size_t i = 0; i < json_len(list->j); i++) {
                size_t before = c->errs->n;

                rules_use(c, "Volume", at_item(c, list, i));
                if (c->errs->n == before)
                        json_append(c->a, good, json_at(list->j, i));
        }
        c->volumes = good;
        if (!streq(c->res->kind, "Pod") || str_empty(pod))
                return;
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *claim = at_field(c, at_item(c, list, i), "persistentVolumeClaim.claimName");

                json_foreach_item(list->j, v)
                        if (*text_at(claim) && json_get(v, "ephemeral") &&
                            streq(arena_printf(c->a, "%s-%s", pod, json_get_string(v, "name")), text_at(claim)))
                                check_invalid(c, claim, "must not reference a PVC that gets created for an ephemeral volume");
        }
}

static const struct json *volume_named(struct check *c, const struct at *name)
{
        json_foreach_item(c->volumes, v)
                if (streq(json_get_string(v, "name"), text_at(name)))
                        return v;
        return NULL;
}

void check_mount_volume(struct check *c, const struct at *at)
{
        if (!volume_named(c, at))
                field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, at), at->j, NULL);
}

/* Files for environments are in directories that the pod makes for itself. */
void check_file_volume(struct check *c, const struct at *at)
{
        const struct at *spec = at;
        const struct json *found = NULL;

        while (spec->up && !json_get(spec->j, "containers"))
                spec = spec->up;
        json_foreach_item(json_get(spec->j, "volumes"), v)
                if (streq(json_get_string(v, "name"), text_at(at)))
                        found = v;
        if (!found)
                field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, at), at->j, NULL);
        else if (!json_get(found, "emptyDir"))
                check_invalid(c, at, "referenced volume must be of type emptyDir");
}

void check_device_volume(struct check *c, const struct at *at)
{
        const struct json *v = volume_named(c, at);

        if (!v)
                field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, at), at->j, NULL);
        else if (!json_get(v, "persistentVolumeClaim") && !json_get(v, "ephemeral"))
                check_invalid(c, at, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
}

/* --- downward API --- */

static const char *const env_fields[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                          "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
                                          "status.podIPs", NULL };
static const char *const volume_fields[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                             "metadata.uid", NULL };

/* REF is an ObjectFieldSelector; ALLOWED: what may be named here. */
static void check_field_ref(struct check *c, const struct at *ref, const char *const *allowed)
{
        static const char *const known[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                                             "metadata.uid", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName",
                                             "spec.schedulerName", "status.phase", "status.hostIP", "status.hostIPs",
                                             "status.podIP", "status.podIPs", "spec.host", NULL };
        const struct at *path = at_field(c, ref, "fieldPath");
        const char *p = text_at(path), *version = json_get_string(ref->j, "apiVersion"), *open = strstr(p, "['");
        size_t n = strlen(p);

        if (str_empty(version)) {
                check_required(c, at_field(c, ref, "apiVersion"), NULL);
        } else if (!*p) {
                check_required(c, path, NULL);
        } else if (!streq(version, "v1")) {
                check_invalid(c, path, "error converting fieldPath: unsupported pod version: %s", version);
        } else if (open > p && n > 2 && streq(p + n - 2, "']")) {
                const char *base = arena_strndup(c->a, p, open - p), *key = arena_strndup(c->a, open + 2, p + n - 2 - (open + 2));

                if (!streq(base, "metadata.annotations") && !streq(base, "metadata.labels"))
                        check_invalid(c, path, "error converting fieldPath: field label does not support subscript: %s", p);
                else
                        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, ref), key);
        } else if (!in_list(known, p)) {
                check_invalid(c, path, "error converting fieldPath: field label not supported: %s", p);
        } else if (!in_list(allowed, streq(p, "spec.host") ? "spec.nodeName" : p)) {
                field_error_not_supported(c->errs, at_path(c, path), path->j, allowed);
        }
}

static void check_divisor(struct check *c, const struct at *ref, const char *resource)
{
        static const char *const cpu[] = { "0", "1m", "1", NULL };
        static const char *const bytes[] = { "0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
                                             NULL };
        const char *divisor = json_get_string(ref->j, "divisor");
        const char *what = str_has_suffix(resource, ".memory")              ? "memory" :
                           str_has_suffix(resource, ".ephemeral-storage") ? "local ephemeral storage" :
                                                                               "hugepages";
        bool of_cpu = str_has_suffix(resource, ".cpu");

        if (!divisor || in_list(of_cpu ? cpu : bytes, divisor))
                return;
        field_error_add(c->errs, FIELD_INVALID, at_path(c, at_field(c, ref, "divisor")), json_new_string(c->a, resource),
                        of_cpu ? "only divisor's values 1m and 1 are supported with the cpu resource%s%s" :
                                 "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported "
                                 "with the %s resource%s",
                        of_cpu ? "" : what, "");
}

static void check_resource_ref(struct check *c, const struct at *ref, bool volume)
{
        static const char *const resources[] = { "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                                                 "requests.ephemeral-storage", "requests.memory", NULL };
        const struct at *resource = at_field(c, ref, "resource"), *container = at_field(c, ref, "containerName");
        const char *r = text_at(resource);

        if (volume && !*text_at(container))
                check_required(c, container, NULL);
        else if (!*r)
                check_required(c, resource, NULL);
        else if (!in_list(resources, r) && !str_has_prefix(r, "limits.hugepages-") && !str_has_prefix(r, "requests.hugepages-"))
                field_error_not_supported(c->errs, at_path(c, resource), resource->j, resources);
        else
                check_divisor(c, ref, r);
}

void check_env_field(struct check *c, const struct at *at)
{
        check_field_ref(c, at, env_fields);
}

void check_env_resource(struct check *c, const struct at *at)
{
        check_resource_ref(c, at, false);
}

/* Items are named without their place in the list, and without the list. */
void check_downward_item(struct check *c, const struct at *item)
{
        const struct at *path = at_field(c, item, "--path"), *field = at_field(c, item, "--fieldRef");
        const struct at *resource = at_field(c, item, "--resourceFieldRef"), *mode = at_field(c, item, "--mode");
        int64_t bits;

        if (!*text_at(path))
                field_error_add(c->errs, FIELD_REQUIRED, at_path(c, path), NULL, "%s", "");
        check_local_non_reserved_path(c, path);
        if (at_set(field)) {
                check_field_ref(c, field, volume_fields);
                if (at_set(resource))
                        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, item->up->up), "\"resource\"",
                                             "fieldRef and resourceFieldRef can not be specified simultaneously");
        } else if (at_set(resource)) {
                check_resource_ref(c, resource, true);
        } else {
                field_error_add(c->errs, FIELD_REQUIRED, at_path(c, item->up->up), NULL,
                                "one of fieldRef and resourceFieldRef is required");
        }
        if (json_to_int(mode->j, &bits) == 0 && (bits < 0 || bits > 0777))
                check_invalid(c, mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

/* --- projected volumes --- */

/* The sources that list files, in the order in which they are looked at. */
static const struct json *items_of(const struct json *source, unsigned which)
{
        return json_get(which == 0 ? json_get(source, "secret") :
                        which == 1 ? json_get(source, "configMap") :
                                     json_get(source, "downwardAPI"), "items");
}

/* Whether a source before it puts another file at PATH; only what comes before item INDEX of LIST, in source HERE, counts. */
static bool path_taken(const struct json *sources, const char *path, size_t here, const struct json *list, size_t index)
{
        for (size_t s = 0; s <= here; s++)
                for (unsigned which = 0; which < 3; which++) {
                        const struct json *items = items_of(json_at(sources, s), which);

                        json_foreach_item(items, item) {
                                if (items == list && item_i >= index)
                                        return false;
                                if (streq(json_get_string(item, "path"), path))
                                        return true;
                        }
                }
        return false;
}

/* Two sources of a volume must not write the same file. The error names the source, or the path where it has no name. */
static void check_taken(struct check *c, const struct at *of, const struct at *items, size_t i)
{
        const struct at *source = of->up;
        const char *path = json_get_string(json_at(items->j, i), "path"), *name = json_get_string(of->j, "name");

        if (!str_empty(path) && path_taken(source->up->j, path, source->index, items->j, i))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, source->up->up),
                                json_new_string(c->a, streq(of->name, "downwardAPI") ? path : name ?: ""), "conflicting duplicate paths");
}

/* A secret, a configMap, or a downwardAPI. Returns whether it is there. */
static bool check_files(struct check *c, const struct at *of)
{
        bool downward = streq(of->name, "downwardAPI");
        const struct at *items;

        if (!at_set(of))
                return false;
        if (!downward && str_empty(json_get_string(of->j, "name")))
                check_required(c, at_field(c, of, "name"), NULL);
        items = at_field(c, of, "items");
        for (size_t i = 0; i < json_len(items->j); i++) {
                if (downward)
                        check_downward_item(c, at_item(c, items, i));
                else
                        rules_use(c, "KeyToPath", at_item(c, items, i));
                check_taken(c, of, items, i);
        }
        return true;
}

static void check_token_path(struct check *c, const struct at *source)
{
        const struct at *token = at_field(c, source, "serviceAccountToken"), *path = at_field(c, token, "path");
        struct at *named = arena_memdup(c->a, path, sizeof(*named)); /* errors name the volume */

        rules_use(c, "ServiceAccountToken", token);
        named->up = source->up->up;
        if (!*text_at(path))
                check_required(c, named, NULL);
        else
                check_local_non_reserved_path(c, named);
}

static bool is_set(const struct json *j)
{
        return j && !json_is_null(j);
}

void check_projected_source(struct check *c, const struct at *at)
{
        unsigned n = 0;

        if (json_get(at->j, "secret"))
                n += check_files(c, at_field(c, at, "secret"));
        if (json_get(at->j, "configMap"))
                n += check_files(c, at_field(c, at, "configMap"));
        if (json_get(at->j, "downwardAPI"))
                n += check_files(c, at_field(c, at, "downwardAPI"));
        if (is_set(json_get(at->j, "serviceAccountToken"))) {
                n++;
                check_token_path(c, at);
        }
        n += is_set(json_get(at->j, "clusterTrustBundle")) + is_set(json_get(at->j, "podCertificate"));
        if (n > 1)
                check_forbidden(c, at, "may not specify more than 1 volume type per source");
}

/* --- old sources --- */

void check_size_limit(struct check *c, const struct at *at)
{
        struct quantity q;

        if (json_is_string(at->j) && quantity_parse(at->j->str, &q) == 0 && q.nano < 0)
                check_forbidden(c, at, "SizeLimit field must be a valid resource quantity");
}

static bool all_alnum(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)s[i]))
                        return false;
        return strlen(s) == n;
}

/* iqn.2001-04.com.example:storage */
static bool iqn_form(const char *s)
{
        static const char form[] = "iqn.dddd-dd.";
        const char *colon, *p = s;

        for (const char *f = form; *f; f++, p++)
                if (*f == 'd' ? !isdigit((unsigned char)*p) : *p != *f)
                        return false;
        colon = p + strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
        return colon > p && *colon == ':' && colon[1] && !strpbrk(colon + 1, ",;*&$| \t\n\f\r");
}

void check_initiator(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        bool volume = json_get(at->up->up->j, "accessModes"); /* of a persistent volume: other words */

        if (!*s && !at->pointer)
                return;
        if (!str_has_prefix(s, "iqn") && !str_has_prefix(s, "eui") && !str_has_prefix(s, "naa"))
                check_invalid(c, at, volume ? "must be valid format" : "must be valid format starting with iqn, eui, or naa");
        else if (str_has_prefix(s, "iqn") ? !iqn_form(s) : strlen(s) < 4 || !all_alnum(s + 4, *s == 'e' ? 16 : 32))
                check_invalid(c, at, "must be valid format");
}

void check_portal_length(struct check *c, const struct at *at)
{
        const struct at *volume = at->up->up, *portal = at_field(c, at->up, "targetPortal");
        bool persistent = json_get(volume->j, "accessModes");
        const struct at *name = persistent ? at_field(c, c->root, "metadata.name") : at_field(c, volume, "name");

        if (strlen(text_at(name)) + 1 + strlen(text_at(portal)) <= 64)
                return;
        if (persistent)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.targetportal", at_path(c, at->up)), portal->j,
                                "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                                "iscsi.initiatorName is specified.");
        else
                check_invalid(c, name, "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                                       "iscsi.initiatorName is specified.");
}

/* "a:1" or "[::1]:1", as Go's SplitHostPort takes them. */
static bool host_port(const char *s, size_t n)
{
        const char *colon = memrchr(s, ':', n);

        if (!colon)
                return false;
        return *s == '[' ? colon > s && colon[-1] == ']' : memchr(s, ':', n) == colon;
}

void check_host_ports_pairs(struct check *c, const struct at *at)
{
        const char *p = text_at(at), *end;

        for (;; p = end + 1) {
                end = strchrnul(p, ',');
                if (!host_port(p, end - p))
                        check_invalid(c, at, "must be a host:port pair or multiple pairs separated by commas");
                if (!*end)
                        return;
        }
}

void check_flex_option(struct check *c, const struct at *option)
{
        char *domain = arena_printf(c->a, ".%.*s", (int)strcspn(option->name, "/"), option->name);

        for (char *p = domain; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        if (str_has_suffix(domain, ".kubernetes.io") || str_has_suffix(domain, ".k8s.io"))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, option), json_new_string(c->a, option->name),
                                "kubernetes.io and k8s.io namespaces are reserved");
}

/* --- claims --- */

void check_once_pod(struct check *c, const struct at *at)
{
        bool alone = false, others = false;

        json_foreach_item(at->j, mode) {
                bool once = streq(json_string(mode), "ReadWriteOncePod");

                alone |= once;
                others |= !once;
        }
        if (alone && others)
                check_forbidden(c, at, "may not use ReadWriteOncePod with other access modes");
}

bool cond_data_sources_differ(struct check *c, const struct at *spec)
{
        static const char *const fields[] = { "apiGroup", "kind", "name" };
        const struct json *x = json_get(spec->j, "dataSource"), *y = json_get(spec->j, "dataSourceRef");

        unused(c);
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!streq(json_get_string(x, fields[i]) ?: "", json_get_string(y, fields[i]) ?: ""))
                        return true;
        return false;
}
