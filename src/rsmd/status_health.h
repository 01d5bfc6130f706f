/* SPDX-License-Identifier: BSD-2-Clause */
/* What this daemon may and has, for `rsm doctor`. Loop's thread. The caller owns the result. */
#ifndef RSMD_STATUS_HEALTH_H
#define RSMD_STATUS_HEALTH_H

#include <jansson.h>

json_t *rsmd_status_health(void);

#endif
