/* What the admission plugins share. */
#pragma once

#include "../../lib/meta/object.h"
#include "../../lib/meta/selector.h"
#include "../auth/auth.h"
#include "../registry/registry.h"
#include "admission.h"

extern struct loop *admission_loop;
extern struct store *admission_store;

extern const struct admission_plugin plugin_rbac_escalation, plugin_namespace_lifecycle, plugin_limit_ranger,
        plugin_service_account, plugin_node_restriction, plugin_taint_nodes, plugin_pod_security, plugin_priority,
        plugin_default_toleration_seconds, plugin_default_storage_class, plugin_storage_protection, plugin_claim_resize,
        plugin_runtime_class, plugin_certificate_approval, plugin_certificate_signing, plugin_certificate_subject,
        plugin_default_ingress_class, plugin_topology_labels, plugin_mutating_webhooks, plugin_validating_webhooks,
        plugin_resource_quota, plugin_declared_features, plugin_pod_resize, plugin_validating_policies, plugin_mutating_policies;

/* AT is about GROUP's RESOURCE. */
bool about(const struct admission_attributes *at, const char *group, const char *resource);
/* A pod being created. */
bool pod_create(const struct admission_attributes *at);
/* What messages call the object: before it has a name, the one that its name will begin with, or "Unknown". */
const char *admission_name(const struct admission_attributes *at);
/* 403: pods "x" is forbidden: ... */
const struct status *deny(struct admission_attributes *at, const char *fmt, ...) printf_like(2, 3);

/* Objects from the cache, parsed in the request's arena; NULL: there is none. FRESH asks etcd first. */
struct json *admission_get(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                           const char *namespace, const char *name);
/* A copy of the constant TEXT; it is read once, to *SLOT. */
struct json *admission_copy(struct admission_attributes *at, struct json **slot, const char *text);
/* As the cache's JSON text, borrowed until the next park; NULL: there is none. */
const char *admission_text(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                           const char *namespace, const char *name);
/* Whether it is there and its JSON has this text somewhere: most need not be parsed to be seen to be without. */
bool admission_has(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                   const char *namespace, const char *name, const char *text);
/* All of a namespace ("" : the cluster), as an array. */
struct json *admission_list(struct admission_attributes *at, const char *group, const char *version, const char *resource,
                            const char *namespace);
/* Only those whose JSON has this text somewhere: what most objects do not have need not be parsed to be seen. */
struct json *admission_list_having(struct admission_attributes *at, const char *group, const char *version,
                                   const char *resource, const char *namespace, const char *having);
/* The cache may be a moment behind a client that just created what it now refers to. */
void admission_catch_up(struct admission_attributes *at);
const char *get_string(const struct json *obj, const char *path); /* "" when absent */

/* Whether the pod's containers, volumes or pulls name Secrets, and ConfigMaps. */
void pod_references(const struct json *pod, bool *ret_secrets, bool *ret_configs);

void quota_undo(struct admission_attributes *at);
void quota_deinit(void);
