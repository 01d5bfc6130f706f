/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced disconnect and revocation (rsm(7), WITHDRAWAL; doc/decisions/0003): after these return, no importer reaches the exporter's memory or
 * signals. Under lib_lock.
 */
#ifndef LIB_WITHDRAW_H
#define LIB_WITHDRAW_H

#include "lib/lib.h"

int lib_withdraw_unpublish(struct lib_export *export);

/*
 * Before the handle goes. The caller then turns the memory back, away from whoever maps it; what other exports or an
 * allocation keep shared is moved here.
 */
void lib_withdraw_destroy(struct lib_export *export);

#endif
