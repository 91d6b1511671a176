/* The version that the API server says it is: the API of Kubernetes v1.36, as the distributions write it. */
#pragma once

#define VERSION_MAJOR "1"
#define VERSION_MINOR "36"
#define VERSION_GIT "v1.36.2+colibri1"
#define VERSION_COMMIT "0000000000000000000000000000000000000000"
#define VERSION_DATE "2026-01-01T00:00:00Z"
#if defined(__x86_64__)
#define VERSION_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define VERSION_ARCHITECTURE "arm64"
#else
#define VERSION_ARCHITECTURE "unknown"
#endif
