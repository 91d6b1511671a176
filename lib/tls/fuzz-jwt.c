/* A bearer token is the first thing an outsider can make us parse. */
#include "jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct jwt_keys *none;
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_free_ char *token = xstrndup((const char *)data, size);
        struct json *claims = NULL;

        if (!none)
                jwt_keys_load(NULL, NULL, &none, NULL);
        jwt_peek(a, token, &claims);
        if (jwt_verify(none, a, token, &claims, NULL) == JWT_OK)
                abort(); /* without keys nothing verifies */
        return 0;
}
