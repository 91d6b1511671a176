/* Where a webhook is called: what may stand in the clientConfig of a webhook's configuration and of a definition's
 * conversion. PATH: the field's, in errors. */
#pragma once

#include "../schema/field-error.h"

/* https://host[/path], and nothing more. */
void webhook_check_url(struct field_errors *errs, const char *path, const char *url);
/* Names of subdomains' form between slashes; one at the end is nothing. */
void webhook_check_path(struct field_errors *errs, const char *path, const char *s);
