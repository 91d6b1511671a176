/* What comes out of an image: its configuration, its /etc/passwd and /etc/group, and what users write as
 * credentials for registries. The parts are separated by zero bytes. */
#include "../runtime/oci.h"
#include "store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *next_part(struct arena *a, const uint8_t **data, size_t *size)
{
        const uint8_t *zero = memchr(*data, 0, *size);
        size_t n = zero ? (size_t)(zero - *data) : *size;
        const char *part = arena_strndup(a, (const char *)*data, n);

        *data += zero ? n + 1 : n;
        *size -= zero ? n + 1 : n;
        return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena *a = arena_new(0);
        const char *config_text = next_part(a, &data, &size), *passwd = next_part(a, &data, &size);
        const char *group = next_part(a, &data, &size), *user = next_part(a, &data, &size);
        const char *const secrets[] = { next_part(a, &data, &size), next_part(a, &data, &size), NULL };
        const char *const command[] = { "sh", NULL };
        struct runtime_container_config c = {
                .name = "c", .image = "i", .command = size & 1 ? command : NULL,
                .security = { .run_as_user = -1, .run_as_group = -1 },
        };
        struct passwd_request q = { .image_user = user, .user = -1, .group = -1 };
        struct passwd_identity identity = { 0 };
        struct json *config = NULL, *out;

        if (json_parse(a, config_text, strlen(config_text), NULL, &config, NULL) < 0)
                config = NULL;
        if (json_get_string(config, "User"))
                q.image_user = json_get_string(config, "User");
        passwd_resolve(a, &q, passwd, group, &identity, NULL);
        struct oci_input in = { .container = &c, .image_config = config, .identity = &identity, .rootfs = "/r",
                                .hostname = "h", .cgroup = "/g", .own_pid_namespace = true, .capabilities = UINT64_MAX };
        oci_config(a, &in, &out, NULL);
        for (size_t i = 0; i < 3; i++)
                keyring_authfile(a, secrets, "reg.io:5000", "team/app", i);
        arena_free(a);
        return 0;
}
