/* What is known of two variables that every admission policy sees: the request, and the namespace it is in. */
#include "cel.h"

#define STRING (&cel_shapes[CEL_STRING])
#define DYN (&cel_shapes[CEL_DYN])

#define OBJECT(shown, list) { .type = CEL_OBJECT, .name = shown, .members = list, .n_members = ARRAY_SIZE(list) }

static const struct cel_member kind_members[] = { { "group", "group", STRING }, { "kind", "kind", STRING }, { "version", "version", STRING } };
static const struct cel_member resource_members[] = { { "group", "group", STRING },
                                                      { "resource", "resource", STRING },
                                                      { "version", "version", STRING } };
static const struct cel_shape kind_shape = OBJECT("kubernetes.GroupVersionKind", kind_members);
static const struct cel_shape resource_shape = OBJECT("kubernetes.GroupVersionResource", resource_members);
static const struct cel_shape strings_shape = { .type = CEL_LIST, .of = { STRING } };
static const struct cel_shape extra_shape = { .type = CEL_MAP, .of = { STRING, &strings_shape } };
static const struct cel_member user_members[] = {
        { "extra", "extra", &extra_shape }, { "groups", "groups", &strings_shape }, { "uid", "uid", STRING }, { "username", "username", STRING },
};
static const struct cel_shape user_shape = OBJECT("kubernetes.UserInfo", user_members);
static const struct cel_member request_members[] = {
        { "dryRun", "dryRun", &cel_shapes[CEL_BOOL] },
        { "kind", "kind", &kind_shape },
        { "name", "name", STRING },
        { "namespace", "namespace", STRING },
        { "operation", "operation", STRING },
        { "options", "options", DYN },
        { "requestKind", "requestKind", &kind_shape },
        { "requestResource", "requestResource", &resource_shape },
        { "requestSubResource", "requestSubResource", STRING },
        { "resource", "resource", &resource_shape },
        { "subResource", "subResource", STRING },
        { "userInfo", "userInfo", &user_shape },
};
const struct cel_shape cel_request_shape = OBJECT("kubernetes.AdmissionRequest", request_members);

static const struct cel_shape texts_shape = { .type = CEL_MAP, .of = { STRING, STRING } };
static const struct cel_member namespace_metadata[] = {
        { "UID", "UID", STRING },
        { "annotations", "annotations", &texts_shape },
        { "creationTimestamp", "creationTimestamp", &cel_shapes[CEL_TIMESTAMP] },
        { "deletionGracePeriodSeconds", "deletionGracePeriodSeconds", &cel_shapes[CEL_INT] },
        { "deletionTimestamp", "deletionTimestamp", &cel_shapes[CEL_TIMESTAMP] },
        { "finalizers", "finalizers", &strings_shape },
        { "generateName", "generateName", STRING },
        { "generation", "generation", &cel_shapes[CEL_INT] },
        { "labels", "labels", &texts_shape },
        { "name", "name", STRING },
        { "namespace", "namespace", STRING },
        { "resourceVersion", "resourceVersion", STRING },
};
static const struct cel_member namespace_spec[] = { { "finalizers", "finalizers", &strings_shape } };
static const struct cel_member namespace_condition[] = {
        { "lastTransitionTime", "lastTransitionTime", &cel_shapes[CEL_TIMESTAMP] },
        { "message", "message", STRING },
        { "reason", "reason", STRING },
        { "status", "status", STRING },
        { "type", "type", STRING },
};
static const struct cel_shape namespace_condition_shape = OBJECT("kubernetes.NamespaceCondition", namespace_condition);
static const struct cel_shape namespace_conditions = { .type = CEL_LIST, .of = { &namespace_condition_shape } };
static const struct cel_member namespace_status[] = { { "conditions", "conditions", &namespace_conditions }, { "phase", "phase", STRING } };
static const struct cel_shape namespace_metadata_shape = OBJECT("kubernetes.NamespaceMetadata", namespace_metadata);
static const struct cel_shape namespace_spec_shape = OBJECT("kubernetes.NamespaceSpec", namespace_spec);
static const struct cel_shape namespace_status_shape = OBJECT("kubernetes.NamespaceStatus", namespace_status);
static const struct cel_member namespace_members[] = { { "metadata", "metadata", &namespace_metadata_shape },
                                                       { "spec", "spec", &namespace_spec_shape },
                                                       { "status", "status", &namespace_status_shape } };
const struct cel_shape cel_namespace_shape = OBJECT("kubernetes.Namespace", namespace_members);
