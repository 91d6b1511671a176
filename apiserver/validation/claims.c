/* Persistent volumes and claims: sizes, access, sources, and what may change of them. */
#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "metadata.h"
#include "resources.h"

#define STORAGE_CLASS "volume.beta.kubernetes.io/storage-class"

/* An amount, which errors show as a whole number. */
void check_basic_amount(struct check *c, const struct at *entry)
{
        struct quantity q;

        if (resource_amount_of(entry->j, &q) && quantity_value(&q) < 0)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, entry), json_new_int(c->a, quantity_value(&q)),
                                "must be a valid resource quantity");
}

/* The list is named, the value shown. */
void check_access_mode(struct check *c, const struct at *at)
{
        static const char *const modes[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL };

        for (size_t i = 0; modes[i]; i++)
                if (streq(text_at(at), modes[i]))
                        return;
        field_error_not_supported(c->errs, at_path(c, at->up), at->j, modes);
}

/* --- claims --- */

/* What names a group already may name any. */
bool cond_had_source_group(struct check *c, const struct at *at)
{
        unused(at);
        return json_path(c->old, "spec.dataSource.apiGroup") || json_path(c->old, "spec.dataSourceRef.apiGroup");
}

void check_claim_resources(struct check *c, const struct at *at)
{
        const struct json *storage = json_get(json_get(at->j, "requests"), "storage");
        const char *path = arena_printf(c->a, "%s[storage]", at_path(c, at));
        struct quantity q;

        if (!storage)
                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "%s", "");
        if (!resource_amount_of(storage, &q) || q.nano > 0)
                return;
        field_error_add(c->errs, FIELD_INVALID, path, storage, "must be greater than zero");
}

static const char *old_class(const struct json *claim)
{
        return json_get_string(json_path(claim, "metadata.annotations"), STORAGE_CLASS) ?: "";
}

/* The new spec with all that may change as in the old one. */
static struct json *claim_without_open(struct check *c, const struct at *at, const struct json *was)
{
        const struct json *spec = at->j;
        struct json *x = json_clone(c->a, spec), *requests = json_path(x, "resources.requests");
        const char *class = json_get_string(spec, "storageClassName"), *from = old_class(c->old);

        if (!json_get_string(was, "volumeName"))
                json_del(x, "volumeName"); /* binding names the volume */
        if (*from && !*old_class(c->obj) && streq(class, from) && !json_get(was, "storageClassName"))
                json_del(x, "storageClassName"); /* from the annotation to the field */
        else if (!*from && !json_get(was, "storageClassName") && !str_empty(class))
                json_del(x, "storageClassName"); /* a default came later */
        if (!streq(json_path_string(c->old, "status.phase"), "Bound"))
                return x;
        if (!requests && json_is_object(json_path(at_sent(c, at), "resources.requests")))
                requests = json_ensure_object(c->a, json_ensure_object(c->a, x, "resources"), "requests");
        if (requests) {
                struct json *size = json_path(was, "resources.requests.storage");

                if (size)
                        json_set(c->a, requests, "storage", size);
        }
        json_del(x, "volumeAttributesClassName");
        if (json_get(was, "volumeAttributesClassName"))
                json_set(c->a, x, "volumeAttributesClassName", json_get(was, "volumeAttributesClassName"));
        return x;
}

static void check_attributes_class(struct check *c, const struct at *at)
{
        if (!json_path_string(c->old, "status.currentVolumeAttributesClassName"))
                return;
        if (at->old && !at_set(at))
                check_forbidden(c, at, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil");
        else if (at_set(at) && !*text_at(at) && !json_equal(at->j, at->old))
                check_forbidden(c, at, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil");
}

/* Upstream calls this field by its name alone. */
static void check_mode_kept(struct check *c, const struct at *mode)
{
        if (mode->old ? !json_equal(mode->j, mode->old) : at_set(mode))
                field_error_add(c->errs, FIELD_INVALID, "volumeMode", mode->j, ERR_IMMUTABLE);
}

/* Of a claim's spec only the size of a bound one may grow, and its attributes class change. */
void check_claim_update(struct check *c, const struct at *at)
{
        const struct at *spec = at_field(c, at, "spec");
        const struct json *was = json_get(c->old, "spec");
        struct quantity is, before, has;
        struct json *is_spec;

        if (!streq(old_class(c->old), old_class(c->obj)) &&
            !(!*old_class(c->obj) && streq(json_get_string(spec->j, "storageClassName"), old_class(c->old))))
                field_error_add(c->errs, FIELD_INVALID, "metadata.annotations." STORAGE_CLASS, json_new_string(c->a, old_class(c->obj)),
                                ERR_IMMUTABLE);
        is_spec = claim_without_open(c, spec, was);
        if (!semantic_equal(spec->s, is_spec, was)) {
                struct json *was_spec = json_clone(c->a, was);

                if (!json_get_string(was, "volumeName") && json_get(spec->j, "volumeName")) {
                        json_set(c->a, was_spec, "volumeName", json_get(spec->j, "volumeName"));
                        json_set(c->a, is_spec, "volumeName", json_get(spec->j, "volumeName"));
                }
                check_forbidden(c, spec,
                                "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                                "bound claims\n%s",
                                go_diff(c->a, go_value(c, spec->s, was_spec), go_value_sent(c, spec->s, is_spec, at_sent(c, spec))));
        }
        if (!resource_amount_of(json_path(spec->j, "resources.requests.storage"), &is))
                is = (struct quantity){ 0 };
        if (resource_amount_of(json_path(was, "resources.requests.storage"), &before) && quantity_cmp(&is, &before) < 0) {
                has = (struct quantity){ 0 };
                resource_amount_of(json_path(c->old, "status.capacity.storage"), &has);
                if (quantity_cmp(&is, &has) <= 0)
                        check_forbidden(c, at_field(c, spec, "resources.requests.storage"),
                                        "field can not be less than status.capacity");
        }
        check_mode_kept(c, at_field(c, spec, "volumeMode"));
        check_attributes_class(c, at_field(c, spec, "volumeAttributesClassName"));
}

/* The key of an entry, which errors show at the map: of what has no domain only storage grows. */
static bool check_growing(struct check *c, const struct at *entry)
{
        static const char *const supported[] = { "storage", NULL };
        const char *path = at_path(c, entry->up);
        size_t before = c->errs->n;

        name_validate_string(c->errs, NAME_QUALIFIED, path, entry->name);
        if (c->errs->n == before && resource_native(entry->name) && !streq(entry->name, "storage"))
                field_error_not_supported(c->errs, path, json_new_string(c->a, entry->name), supported);
        return c->errs->n == before;
}

void check_resizing(struct check *c, const struct at *entry)
{
        static const char *const states[] = { "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
                                              "NodeResizeInfeasible", "NodeResizePending", NULL };

        check_growing(c, entry);
        for (size_t i = 0; states[i]; i++)
                if (streq(text_at(entry), states[i]))
                        return;
        field_error_not_supported(c->errs, at_path(c, entry->up), json_new_string(c->a, entry->name), states);
}

void check_resizing_amount(struct check *c, const struct at *entry)
{
        check_growing(c, entry);
        check_basic_amount(c, entry);
}

/* --- volumes --- */

void check_volume_capacity(struct check *c, const struct at *at)
{
        static const char *const supported[] = { "storage", NULL };
        struct quantity q;

        if (!json_len(at->j))
                check_required(c, at, NULL);
        if (!json_get(at->j, "storage") || json_len(at->j) > 1) {
                field_error_not_supported(c->errs, at_path(c, at), at_shown(c, at), supported);
                c->errs->list[c->errs->n - 1].value = json_is_null(at_shown(c, at)) ? "null" : go_struct(c, at);
        }
        json_foreach_member(at->j, m) {
                const char *path = at_path(c, at_entry(c, at, m));

                if (!resource_amount_of(m->value, &q) || q.nano > 0)
                        continue;
                if (quantity_value(&q) < 0)
                        field_error_add(c->errs, FIELD_INVALID, path, json_new_int(c->a, quantity_value(&q)),
                                        "must be a valid resource quantity");
                field_error_add(c->errs, FIELD_INVALID, path, m->value, "must be greater than zero");
        }
}

static const struct {
        const char *field, *type, *shown, *second; /* as for the volumes of pods */
} sources[] = {
        { "hostPath", "PersistentHostPath" },
        { "gcePersistentDisk", "GCEPersistentDisk", "persistentDisk" },
        { "awsElasticBlockStore", "AWSElasticBlockStore" },
        { "glusterfs", "PersistentGlusterfs" },
        { "flocker", "Flocker" },
        { "nfs", "NFS" },
        { "rbd", "RBD" },
        { "quobyte", "Quobyte" },
        { "cephfs", "CephFS", NULL, "cephFS" },
        { "iscsi", "PersistentISCSI" },
        { "cinder", "PersistentCinder" },
        { "fc", "FC" },
        { "flexVolume", "FlexVolume" },
        { "azureFile", "PersistentAzureFile" },
        { "vsphereVolume", "VsphereVolume" },
        { "photonPersistentDisk", "PhotonPersistentDisk" },
        { "portworxVolume", "PortworxVolume" },
        { "azureDisk", "AzureDisk" },
        { "scaleIO", "ScaleIO" },
        { "local", "Local" },
        { "storageos", "PersistentStorageOS" },
        { "csi", "PersistentCSI" },
};

static const struct at *called(struct check *c, const struct at *at, const char *shown)
{
        struct at *f = arena_memdup(c->a, at, sizeof(*f));

        f->shown = shown;
        return f;
}

void check_persistent_source(struct check *c, const struct at *spec)
{
        const struct at *affinity = at_field(c, spec, "nodeAffinity");
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
                const struct at *s = at_field(c, spec, sources[i].field);
                bool first = !n, flex = streq(sources[i].field, "flexVolume"); /* that one is let pass */

                if (!at_set(s))
                        continue;
                n++;
                if (first || flex)
                        rules_use(c, sources[i].type, called(c, s, sources[i].shown));
                else
                        check_forbidden(c, called(c, s, sources[i].second), "may not specify more than 1 volume type");
                if (first && streq(sources[i].field, "local") && !json_get(affinity->j, "required"))
                        check_required(c, affinity, "Local volume requires node affinity");
        }
        if (!n)
                check_required(c, spec, "must specify a volume type");
}

/* Secrets to grow a volume with may come later. */
/* The secret for growing may be named later. */
static const struct json *without_open_secret(struct check *c, const struct json *spec, const struct json *was)
{
        struct json *out;

        if (!json_get(was, "csi") || json_path(was, "csi.controllerExpandSecretRef") || !json_path(spec, "csi.controllerExpandSecretRef"))
                return spec;
        out = json_clone(c->a, spec);
        json_path_del(out, "csi.controllerExpandSecretRef");
        return out;
}

static bool source_moved(struct check *c, const struct json *is, const struct json *was, const char *field)
{
        struct json *x = json_get(is, field);

        if (streq(field, "csi") && x && !json_path(was, "csi.controllerExpandSecretRef")) {
                x = json_clone(c->a, x);
                json_del(x, "controllerExpandSecretRef");
        }
        return !json_equal(x, json_get(was, field));
}

/* Old labels may become those that took their places; upstream takes an empty key for the successor of all others. */
static bool becomes(const char *was, const char *is)
{
        static const char *const labels[][2] = {
                { "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone" },
                { "failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region" },
                { "beta.kubernetes.io/os", "kubernetes.io/os" },
                { "beta.kubernetes.io/arch", "kubernetes.io/arch" },
                { "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
                if (streq(was, labels[i][0]))
                        return streq(is, labels[i][1]);
        return !*is;
}

static bool same_but_for_labels(struct arena *a, const struct json *is, const struct json *was)
{
        static const char *const lists[] = { "matchExpressions", "matchFields" };
        struct json *old = json_clone(a, was);

        json_foreach_item(json_path(old, "required.nodeSelectorTerms"), term)
                for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                        json_foreach_item(json_get(term, lists[l]), e) {
                                const struct json *now = json_at(json_get(json_at(json_path(is, "required.nodeSelectorTerms"), term_i),
                                                                          lists[l]), e_i);
                                const char *key = json_get_string(now, "key") ?: "";

                                if (now && becomes(json_get_string(e, "key") ?: "", key))
                                        json_set_string(a, e, "key", key);
                        }
        return json_equal(is, old);
}

void check_volume_update(struct check *c, const struct at *at)
{
        const struct at *spec = at_field(c, at, "spec"), *affinity = at_field(c, spec, "nodeAffinity");
        const struct at *class = at_field(c, spec, "volumeAttributesClassName");
        bool moved = false;

        for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
                moved |= source_moved(c, spec->j, spec->old, sources[i].field);
        if (moved)
                field_error_add(c->errs, FIELD_FORBIDDEN, "spec.persistentvolumesource", NULL,
                                "spec.persistentvolumesource is immutable after creation\n%s",
                                go_diff(c->a, go_volume_source(c, spec->s, spec->old, NULL),
                                        go_volume_source(c, spec->s, without_open_secret(c, spec->j, spec->old), at_sent(c, spec))));
        check_mode_kept(c, at_field(c, spec, "volumeMode"));
        if (affinity->old && !same_but_for_labels(c->a, affinity->j, affinity->old))
                field_error_add_text(c->errs, FIELD_INVALID, "nodeAffinity", at_set(affinity) ? go_struct(c, affinity) : "null",
                                     "field is immutable, except for updating from beta label to GA");
        if (class->old && !at_set(class))
                check_forbidden(c, class, "update from non-nil value to nil is forbidden");
}
