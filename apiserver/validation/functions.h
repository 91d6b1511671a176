/* The functions that rule files name. */
#pragma once

#include "rules.h"

bool cond_deadline_too_soon(struct check *c, const struct at *at);
bool cond_over_two(struct check *c, const struct at *at);
bool cond_several_ports(struct check *c, const struct at *at);
bool cond_was_immutable(struct check *c, const struct at *at);
void check_config_key(struct check *c, const struct at *at);
void check_dns_config(struct check *c, const struct at *at);
void check_env_from(struct check *c, const struct at *at);
void check_env_source(struct check *c, const struct at *at);
void check_init_names(struct check *c, const struct at *at);
void check_int_or_percent(struct check *c, const struct at *at);
void check_labels(struct check *c, const struct at *at);
void check_lifecycle_handler(struct check *c, const struct at *at);
void check_local_non_reserved_path(struct check *c, const struct at *at);
void check_local_path(struct check *c, const struct at *at);
void check_mountable_secrets_warning(struct check *c, const struct at *at);
void check_name_warning(struct check *c, const struct at *at);
void check_pod_name_warning(struct check *c, const struct at *at);
void check_pod_warnings(struct check *c, const struct at *at);
void check_template_warnings(struct check *c, const struct at *at);
void check_mount_volume(struct check *c, const struct at *at);
void check_no_backsteps(struct check *c, const struct at *at);
void check_node_requirement(struct check *c, const struct at *at);
void check_pod(struct check *c, const struct at *at);
void check_port(struct check *c, const struct at *at);
void check_port_name_once(struct check *c, const struct at *at);
void check_probe_handler(struct check *c, const struct at *at);
void check_required_then_qualified(struct check *c, const struct at *at);
void check_resources(struct check *c, const struct at *at);
void check_rolling_update(struct check *c, const struct at *at);
void check_selector(struct check *c, const struct at *at);
void check_selects_template(struct check *c, const struct at *at);
void check_service_ports(struct check *c, const struct at *at);
void check_share_process_namespace(struct check *c, const struct at *at);
void check_template_metadata(struct check *c, const struct at *at);
void check_toleration(struct check *c, const struct at *at);
void check_volume_source(struct check *c, const struct at *at);
