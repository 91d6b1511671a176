/* What names may look like: one table of rules with upstream's messages. */
#pragma once

#include "../schema/field-error.h"

enum name_rule {
        NAME_DNS1123_LABEL,
        NAME_DNS1123_SUBDOMAIN,
        NAME_DNS1123_SUBDOMAIN_BYTES, /* the same in the words of declarative rules */
        NAME_DNS1035_LABEL,
        NAME_PATH_SEGMENT,     /* RBAC names: no "/", no "%", not "." or ".." */
        NAME_QUALIFIED,        /* label keys */
        NAME_LABEL_VALUE,
        NAME_C_IDENTIFIER,
        NAME_ENV_VAR,
        NAME_CONFIG_KEY,       /* ConfigMap and Secret keys */
        NAME_PORT,             /* IANA service names */
        NAME_HTTP_HEADER,
        NAME_WILDCARD_SUBDOMAIN,
        NAME_IP,
        NAME_CIDR,
        NAME_IPV4,
        NAME_FULLY_QUALIFIED_DOMAIN,
        NAME_DOMAIN_PREFIXED_PATH,
        NAME_LABEL_KEY,        /* as matchExpressions' keys: qualified */
        NAME_SUBDOMAIN_UNDERSCORE,
        NAME_PERCENT,
        NAME_ANY,
        N_NAME_RULES
};

/* The messages that apply to VALUE, in upstream's order; 0 when it is fine. At most NAME_MESSAGES. */
#define NAME_MESSAGES 8
unsigned name_check(struct arena *a, enum name_rule rule, const char *value, const char *ret[NAME_MESSAGES]);
/* An address, also one as Go once took them: with zeros in front of IPv4's numbers. */
bool name_is_address(const char *s);
bool name_is_range(const char *s); /* "10.0.0.0/8"; zeros may lead, bits may stand behind the prefix */
/* Adds one Invalid a message. */
void name_validate(struct field_errors *errs, enum name_rule rule, const char *path, const struct json *value);
/* The same for values that are no tree nodes. */
void name_validate_string(struct field_errors *errs, enum name_rule rule, const char *path, const char *value);
/* One Invalid at most, of all messages, joined, and BEFORE before them; SHOWN stands for VALUE. */
void name_validate_joined(struct field_errors *errs, enum name_rule rule, const char *path, const char *value, const char *shown,
                          const char *before);
