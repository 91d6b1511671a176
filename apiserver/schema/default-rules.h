/* The defaulting rules that generated tables name: `rules: [image-pull-policy]` in apiserver/kinds is
 * default_image_pull_policy here. Each is a schema_rule: OBJ is an object of the type that names it, already
 * filled in with its plain defaults and those of its children. */
#pragma once

#include "schema.h"

schema_rule default_autoscaler, default_autoscaler_v1, default_daemon_set_strategy, default_definition,
        default_deployment_strategy, default_device_count, default_device_taint, default_image_pull_policy,
        default_image_volume, default_job, default_limit_range_item, default_namespace, default_network_policy,
        default_node_spec, default_node_status, default_pod, default_pod_spec, default_pod_status, default_pod_template, default_persistent_volume, default_replication_controller,
        default_resource_list, default_secret, default_service, default_stateful_set, default_subject, default_volume;
