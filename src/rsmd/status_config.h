/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's settings for tools. Loop's thread. The caller owns the result. */
#ifndef RSMD_STATUS_CONFIG_H
#define RSMD_STATUS_CONFIG_H

#include <jansson.h>

json_t *rsmd_status_config(void);

#endif
