/* JSON Web Tokens as service accounts use them (RFC 7515, 7518, 7519): compact form, ES256 or RS256.
 *
 * Only signatures are judged here. Who the token is for, whether it is still valid and whether what it
 * is bound to still exists is the caller's to decide from the claims.
 */
#pragma once

#include "../json/json.h"

struct jwt_keys; /* verification keys, and perhaps one to sign with */

/* FILES: PEM files with public keys, private keys or certificates, NULL-terminated. SIGN_FILE: the private
 * key that signs; its public half also verifies; NULL: verify only. */
int jwt_keys_load(const char *const *files, const char *sign_file, struct jwt_keys **ret, struct error *reterr);
void jwt_keys_free(struct jwt_keys *k);

/* Header {"alg","kid"} and signature are made here. The token is in the arena. */
int jwt_sign(const struct jwt_keys *k, struct arena *a, const struct json *claims, char **ret, struct error *reterr);

/* 0: the signature is good, *ret_claims is the payload. Positive outcomes: */
enum jwt_outcome {
        JWT_OK = 0,
        JWT_NOT_A_TOKEN = 1,  /* not three parts of base64url with a JSON header */
        JWT_BAD_SIGNATURE = 2, /* none of our keys made it, or an algorithm that is not allowed */
};
int jwt_verify(const struct jwt_keys *k, struct arena *a, const char *token, struct json **ret_claims, struct error *reterr);
/* The claims without looking at the signature: to see the issuer first. Outcomes as above. */
int jwt_peek(struct arena *a, const char *token, struct json **ret_claims);

/* The public keys as a JSON Web Key Set (RFC 7517): {"keys":[{use,kty,kid,alg,crv,x,y}]} */
int jwt_keys_jwks(const struct jwt_keys *k, struct arena *a, struct json **ret, struct error *reterr);
