/* Pages for those who look after the server: /statusz, /flagz, /debug/. */
#pragma once

#include "../apiserver.h"

/* True: R was for one of them and is answered. */
bool debug_handle(struct api_request *r);
