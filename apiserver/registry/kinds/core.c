/* Small strategies: what a line or two of code says about a kind. */
#include "../../schema/crd.h"
#include "kinds.h"

/* --- namespaces: Active, then Terminating until the controller has emptied them --- */

#define NAME_LABEL "kubernetes.io/metadata.name"

static void name_label(struct arena *a, struct json *ns)
{
        struct json *meta = json_get(ns, "metadata");

        if (*meta_string(ns, "name"))
                json_set_string(a, json_ensure_object(a, meta, "labels"), NAME_LABEL, meta_string(ns, "name"));
}

static void namespace_prepare_create(struct api_request *r, struct json *ns)
{
        struct arena *a = r->arena;
        struct json *finalizers = json_ensure_array(a, json_ensure_object(a, ns, "spec"), "finalizers");
        bool has = false;

        json_foreach_item(finalizers, f)
                has |= streq(json_string(f), "kubernetes");
        if (!has)
                json_append(a, finalizers, json_new_string(a, "kubernetes"));
        json_path_set(a, ns, "status.phase", json_new_string(a, "Active"));
        name_label(a, ns);
}

static void namespace_prepare_update(struct api_request *r, struct json *ns, const struct json *old, const char *sub)
{
        if (streq(sub, "finalize"))
                copy_path(r->arena, ns, old, "status");
        name_label(r->arena, ns);
}

static bool namespace_keeps(const struct json *ns)
{
        return json_len(json_path(ns, "spec.finalizers")) > 0;
}

static bool namespace_mark_deleted(struct api_request *r, struct json *ns, const struct json *options)
{
        char when[TIME_BUF];

        if (meta_deleting(ns))
                return false;
        json_path_set(r->arena, ns, "metadata.deletionTimestamp",
                      json_new_string(r->arena, time_format(request_now(r), when)));
        json_path_set(r->arena, ns, "status.phase", json_new_string(r->arena, "Terminating"));
        return true;
}

const struct strategy namespace_strategy = {
        .group = "",
        .kind = "Namespace",
        .prepare_create = namespace_prepare_create,
        .prepare_update = namespace_prepare_update,
        .keeps = namespace_keeps,
        .mark_deleted = namespace_mark_deleted,
};

/* --- volumes and claims --- */

static void set_phase_time(struct api_request *r, struct json *pv)
{
        char when[TIME_BUF];

        json_path_set(r->arena, pv, "status.lastPhaseTransitionTime",
                      json_new_string(r->arena, time_format(request_now(r), when)));
}

static void volume_prepare_create(struct api_request *r, struct json *pv)
{
        json_path_set(r->arena, pv, "status.phase", json_new_string(r->arena, "Pending"));
        set_phase_time(r, pv);
}

static void volume_prepare_update(struct api_request *r, struct json *pv, const struct json *old, const char *sub)
{
        if (!streq(sub, "status"))
                return;
        if (streq(json_path_string(pv, "status.phase"), json_path_string(old, "status.phase"))) {
                if (!json_is_string(json_path(pv, "status.lastPhaseTransitionTime")))
                        copy_path(r->arena, pv, old, "status.lastPhaseTransitionTime");
                return;
        }
        if (!json_is_string(json_path(pv, "status.lastPhaseTransitionTime")) ||
            json_equal(json_path(pv, "status.lastPhaseTransitionTime"), json_path(old, "status.lastPhaseTransitionTime")))
                set_phase_time(r, pv);
}

const struct strategy volume_strategy = {
        .group = "",
        .kind = "PersistentVolume",
        .prepare_create = volume_prepare_create,
        .prepare_update = volume_prepare_update,
};

/* A claim is filled from another claim or from a snapshot, and dataSource and dataSourceRef say the same. What
 * else dataSource alone names is dropped, unless the claim had a source before; and what another namespace has
 * (CrossNamespaceVolumeDataSource is off). */
static void claim_source(struct arena *a, struct json *claim, const struct json *old)
{
        struct json *spec = json_get(claim, "spec"), *source = json_get(spec, "dataSource"), *ref = json_get(spec, "dataSourceRef");
        const char *group = json_get_string(source, "apiGroup"), *kind = json_get_string(source, "kind");

        if (!str_empty(json_get_string(ref, "namespace")) && !json_path(old, "spec.dataSourceRef")) {
                json_del(spec, "dataSourceRef");
                ref = NULL;
        }
        if (json_is_object(source) && !json_is_object(ref) && !json_path(old, "spec.dataSource") &&
            !json_path(old, "spec.dataSourceRef") && !(str_empty(group) && streq(kind, "PersistentVolumeClaim")) &&
            !(streq(group, "snapshot.storage.k8s.io") && streq(kind, "VolumeSnapshot"))) {
                json_del(spec, "dataSource");
                source = NULL;
        }
        if (json_is_object(source) && !json_is_object(ref))
                json_set(a, spec, "dataSourceRef", json_clone(a, source));
        else if (json_is_object(ref) && !json_is_object(source) && str_empty(json_get_string(ref, "namespace")))
                json_set(a, spec, "dataSource", json_clone(a, ref));
}

static void claim_prepare_update(struct api_request *r, struct json *claim, const struct json *old, const char *sub)
{
        if (!*sub)
                claim_source(r->arena, claim, old);
}

static void claim_prepare_create(struct api_request *r, struct json *claim)
{
        claim_source(r->arena, claim, NULL);
        json_path_set(r->arena, claim, "status.phase", json_new_string(r->arena, "Pending"));
}

const struct strategy claim_strategy = {
        .group = "",
        .kind = "PersistentVolumeClaim",
        .prepare_create = claim_prepare_create,
        .prepare_update = claim_prepare_update,
};

/* --- service accounts: of their secrets only names are kept --- */

static void account_prepare_create(struct api_request *r, struct json *sa)
{
        json_foreach_item(json_get(sa, "secrets"), it) {
                struct json *name = json_get(it, "name");

                it->len = 0; /* its members; the memory is the arena's */
                it->index = NULL;
                if (name)
                        json_set(r->arena, it, "name", name);
        }
}

static void account_prepare_update(struct api_request *r, struct json *sa, const struct json *old, const char *sub)
{
        account_prepare_create(r, sa);
}

const struct strategy account_strategy = {
        .group = "",
        .kind = "ServiceAccount",
        .prepare_create = account_prepare_create,
        .prepare_update = account_prepare_update,
};

static void secret_prepare_update(struct api_request *r, struct json *secret, const struct json *old, const char *sub)
{
        if (str_empty(json_get_string(secret, "type")))
                copy_path(r->arena, secret, old, "type");
}

const struct strategy secret_strategy = {
        .group = "",
        .kind = "Secret",
        .prepare_update = secret_prepare_update,
};

static void limit_range_prepare_create(struct api_request *r, struct json *lr)
{
        char uid[UUID_BUF];

        if (!*meta_string(lr, "name"))
                json_path_set(r->arena, lr, "metadata.name", json_new_string(r->arena, uuid_new(uid)));
}

const struct strategy limit_range_strategy = {
        .group = "",
        .kind = "LimitRange",
        .prepare_create = limit_range_prepare_create,
};

/* --- events: nothing depends on them --- */

const struct strategy core_event_strategy = { .group = "", .kind = "Event", .no_garbage = true };
const struct strategy event_strategy = { .group = "events.k8s.io", .kind = "Event", .no_garbage = true };

const struct strategy controller_strategy = { .group = "", .kind = "ReplicationController", .orphans_by_default = true };

/* --- attribute classes: held while a volume may use them --- */

static void attributes_prepare_create(struct api_request *r, struct json *class)
{
        struct json *list = json_ensure_array(r->arena, json_get(class, "metadata"), "finalizers");

        json_foreach_item(list, it)
                if (streq(json_string(it), "kubernetes.io/vac-protection"))
                        return;
        json_append(r->arena, list, json_new_string(r->arena, "kubernetes.io/vac-protection"));
}

const struct strategy attributes_strategy = {
        .group = "storage.k8s.io",
        .kind = "VolumeAttributesClass",
        .prepare_create = attributes_prepare_create,
};

/* --- claims for devices: who gets them without being counted says so on the namespace --- */

#define ADMIN_LABEL "resource.kubernetes.io/admin-access"

static void admin_access(struct api_request *r, const struct json *claim, const char *path, const char *list, const char *field,
                         struct field_errors *errs)
{
        struct field_error last;
        struct json *ns = NULL;
        size_t i = SIZE_MAX;

        json_foreach_item(json_path(claim, list), it)
                if (i == SIZE_MAX && json_is_bool(json_path(it, field)) && json_path(it, field)->boolean)
                        i = it_i;
        if (i == SIZE_MAX)
                return;
        registry_get(r, builtin_resource("", "v1", "namespaces"), "", meta_string(claim, "namespace"), &ns);
        if (!streq(json_get_string(json_path(ns, "metadata.labels"), ADMIN_LABEL), "true"))
                field_error_add(errs, FIELD_FORBIDDEN, field_path(r->arena, "%s[%zu].adminAccess", path, i), NULL,
                                "admin access to devices requires the `" ADMIN_LABEL ": true` label on the containing namespace");
        else
                return;
        /* it is asked for before all else is looked at */
        last = errs->list[errs->n - 1];
        memmove(errs->list + 1, errs->list, (errs->n - 1) * sizeof(last));
        errs->list[0] = last;
}

static bool same_device(const struct json *a, const struct json *b)
{
        static const char *const fields[] = { "driver", "pool", "device", "shareID" };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!streq(json_get_string(a, fields[i]) ?: "", json_get_string(b, fields[i]) ?: ""))
                        return false;
        return true;
}

static bool is_allocated(const struct json *claim, const struct json *device)
{
        json_foreach_item(json_path(claim, "status.allocation.devices.results"), it)
                if (same_device(it, device))
                        return true;
        return false;
}

/* What was said of devices that are given back goes with them. */
static void device_claim_prepare_update(struct api_request *r, struct json *claim, const struct json *old, const char *sub)
{
        struct json *status = json_get(claim, "status"), *devices = json_get(status, "devices");

        if (!streq(sub, "status") || !json_len(devices))
                return;
        for (size_t i = json_len(devices); i-- > 0;)
                if (is_allocated(old, json_at(devices, i)) && !is_allocated(claim, json_at(devices, i)))
                        json_remove(devices, i);
        if (!json_len(devices))
                json_del(status, "devices");
}

static void device_claim_validate(struct api_request *r, const struct json *claim, const struct json *old, const char *sub,
                                  struct field_errors *errs)
{
        if (!old)
                admin_access(r, claim, "spec.devices.requests", "spec.devices.requests", "exactly.adminAccess", errs);
        else if (streq(sub, "status") && !json_path(old, "status.allocation"))
                admin_access(r, claim, "status.allocation.devices.results", "status.allocation.devices.results", "adminAccess", errs);
}

static void device_template_validate(struct api_request *r, const struct json *template, const struct json *old, const char *sub,
                                     struct field_errors *errs)
{
        if (!old)
                admin_access(r, template, "spec.devices.requests", "spec.spec.devices.requests", "exactly.adminAccess", errs);
}

const struct strategy device_claim_strategy = {
        .group = "resource.k8s.io",
        .kind = "ResourceClaim",
        .prepare_update = device_claim_prepare_update,
        .validate = device_claim_validate,
};

const struct strategy device_template_strategy = {
        .group = "resource.k8s.io",
        .kind = "ResourceClaimTemplate",
        .validate = device_template_validate,
};

/* --- endpoint slices: topology of the old kind is dropped, but for the node --- */

static void slice_prepare(struct api_request *r, struct json *slice)
{
        json_foreach_item(json_get(slice, "endpoints"), it)
                json_del(it, "deprecatedTopology");
}

static void slice_prepare_update(struct api_request *r, struct json *slice, const struct json *old, const char *sub)
{
        slice_prepare(r, slice);
}

const struct strategy endpoint_slice_strategy = {
        .group = "discovery.k8s.io",
        .kind = "EndpointSlice",
        .prepare_create = slice_prepare,
        .prepare_update = slice_prepare_update,
};

/* --- custom resource definitions and API services --- */

static const char *storage_version_of(const struct json *crd)
{
        json_foreach_item(json_path(crd, "spec.versions"), v)
                if (json_get_bool(v, "storage", false))
                        return json_get_string(v, "name");
        return NULL;
}

static void add_stored_version(struct arena *a, struct json *crd)
{
        struct json *list = json_ensure_array(a, json_ensure_object(a, crd, "status"), "storedVersions");
        const char *version = storage_version_of(crd);

        json_foreach_item(list, it)
                if (streq(json_string(it), version))
                        return;
        if (version)
                json_append(a, list, json_new_string(a, version));
}

static void definition_prepare_create(struct api_request *r, struct json *crd)
{
        json_set(r->arena, crd, "status", json_new_object(r->arena));
        add_stored_version(r->arena, crd);
}

static void definition_prepare_update(struct api_request *r, struct json *crd, const struct json *old, const char *sub)
{
        if (!*sub)
                add_stored_version(r->arena, crd);
}

static void warn_of(const char *text, void *userdata)
{
        request_warn(userdata, "%s", text);
}

static void definition_validate(struct api_request *r, const struct json *crd, const struct json *old, const char *sub,
                                struct field_errors *errs)
{
        if (*sub)
                crd_validate_definition_status(crd, errs);
        else if (!meta_deleting(crd))
                crd_validate_definition(crd, old, errs, warn_of, r);
}

/* The first deletion marks the definition; its instances go first, then a finalizer of ours lets it go. */
static bool definition_mark_deleted(struct api_request *r, struct json *crd, const struct json *delete_options)
{
        struct json *meta = json_get(crd, "metadata"), *c, *list;
        char when[TIME_BUF];

        if (meta_deleting(crd))
                return false;
        time_format(request_now(r), when);
        json_set_string(r->arena, meta, "deletionTimestamp", when);
        json_append(r->arena, json_ensure_array(r->arena, meta, "finalizers"),
                    json_new_string(r->arena, "customresourcecleanup.apiextensions.k8s.io"));
        list = json_ensure_array(r->arena, json_ensure_object(r->arena, crd, "status"), "conditions");
        c = json_new_object(r->arena);
        json_set_string(r->arena, c, "type", "Terminating");
        json_set_string(r->arena, c, "status", "True");
        json_set_string(r->arena, c, "lastTransitionTime", when);
        json_set_string(r->arena, c, "reason", "InstanceDeletionPending");
        json_set_string(r->arena, c, "message",
                        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon");
        json_append(r->arena, list, c);
        return true;
}

const struct strategy definition_strategy = {
        .mark_deleted = definition_mark_deleted,
        .validate = definition_validate,
        .group = "apiextensions.k8s.io",
        .kind = "CustomResourceDefinition",
        .prepare_create = definition_prepare_create,
        .prepare_update = definition_prepare_update,
};

static void api_service_prepare_create(struct api_request *r, struct json *as)
{
        struct arena *a = r->arena;
        struct json *status = json_new_object(a), *c, *list;
        char when[TIME_BUF];

        json_set(a, as, "status", status);
        if (json_path(as, "spec.service"))
                return;
        list = json_ensure_array(a, status, "conditions");
        c = json_new_object(a);
        json_set_string(a, c, "type", "Available");
        json_set_string(a, c, "status", "True");
        json_set_string(a, c, "lastTransitionTime", time_format(request_now(r), when));
        json_set_string(a, c, "reason", "Local");
        json_set_string(a, c, "message", "Local APIServices are always available");
        json_append(a, list, c);
}

const struct strategy api_service_strategy = {
        .group = "apiregistration.k8s.io",
        .kind = "APIService",
        .prepare_create = api_service_prepare_create,
};

/* --- certificate signing requests: who asks is who is logged in --- */

static void csr_prepare_create(struct api_request *r, struct json *csr)
{
        struct arena *a = r->arena;
        struct json *spec = json_ensure_object(a, csr, "spec"), *groups = json_new_array(a), *status = json_new_object(a);

        json_del(spec, "username");
        json_del(spec, "uid");
        json_del(spec, "groups");
        json_del(spec, "extra");
        if (!str_empty(r->user.name))
                json_set_string(a, spec, "username", r->user.name);
        if (!str_empty(r->user.uid))
                json_set_string(a, spec, "uid", r->user.uid);
        for (const char *const *g = r->user.groups; g && *g; g++)
                json_append(a, groups, json_new_string(a, *g));
        if (json_len(groups))
                json_set(a, spec, "groups", groups);
        if (json_len(r->user.extra))
                json_set(a, spec, "extra", json_clone(a, r->user.extra));
        json_set(a, csr, "status", status);
}

static const struct json *condition_like(const struct json *csr, const struct json *c)
{
        json_foreach_item(json_path(csr, "status.conditions"), it)
                if (streq(json_get_string(it, "type"), json_get_string(c, "type")))
                        return it;
        return NULL;
}

/* Times that the client left out. */
static void fill_times(struct api_request *r, struct json *csr, const struct json *old)
{
        char when[TIME_BUF];

        time_format(request_now(r), when);
        json_foreach_item(json_path(csr, "status.conditions"), it) {
                const struct json *before = condition_like(old, it);

                if (!json_is_string(json_get(it, "lastUpdateTime")))
                        json_set_string(r->arena, it, "lastUpdateTime", when);
                if (!json_is_string(json_get(it, "lastTransitionTime")))
                        json_set_string(r->arena, it, "lastTransitionTime",
                                        before && json_get_string(before, "lastTransitionTime") ?
                                                json_get_string(before, "lastTransitionTime") :
                                                when);
        }
}

/* The Nth condition of a type; NULL: there are not so many. */
static struct json *nth_condition(const struct json *csr, const char *type, size_t n)
{
        json_foreach_item(json_path(csr, "status.conditions"), it)
                if (streq(json_get_string(it, "type"), type) && n-- == 0)
                        return it;
        return NULL;
}

static size_t count_conditions(const struct json *csr, const char *type)
{
        size_t n = 0;

        while (nth_condition(csr, type, n))
                n++;
        return n;
}

/* Only the approval subresource gives a verdict: one that is sent again is the one that is there. Another number of them
 * is left for validation to refuse. */
static void keep_verdicts(struct arena *a, struct json *csr, const struct json *old)
{
        static const char *const verdicts[] = { "Approved", "Denied" };
        struct json *list = json_path(csr, "status.conditions"), *kept;

        for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
                size_t n = 0;

                if (!list || count_conditions(csr, verdicts[i]) != count_conditions(old, verdicts[i]))
                        continue;
                kept = json_new_array(a);
                json_foreach_item(list, it)
                        json_append(a, kept, streq(json_get_string(it, "type"), verdicts[i]) ?
                                                     json_clone(a, nth_condition(old, verdicts[i], n++)) :
                                                     it);
                json_path_set(a, csr, "status.conditions", kept);
                list = json_path(csr, "status.conditions");
        }
}

static void csr_prepare_update(struct api_request *r, struct json *csr, const struct json *old, const char *sub)
{
        if (streq(sub, "approval")) {
                struct json *conditions = json_path(csr, "status.conditions");

                copy_path(r->arena, csr, old, "spec");
                copy_path(r->arena, csr, old, "status");
                if (conditions)
                        json_path_set(r->arena, csr, "status.conditions", conditions);
                else
                        json_path_del(csr, "status.conditions");
                fill_times(r, csr, old);
        } else if (streq(sub, "status")) {
                keep_verdicts(r->arena, csr, old);
                fill_times(r, csr, old);
        }
}

const struct strategy csr_strategy = {
        .group = "certificates.k8s.io",
        .kind = "CertificateSigningRequest",
        .prepare_create = csr_prepare_create,
        .prepare_update = csr_prepare_update,
};
