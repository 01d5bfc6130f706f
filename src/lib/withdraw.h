/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced disconnect (rsmapi.md 1.4) and revocation: after these return, no importer reaches the exporter's memory or
 * signals. Under lib_lock.
 */
#ifndef LIB_WITHDRAW_H
#define LIB_WITHDRAW_H

#include "lib/lib.h"

int lib_withdraw_unpublish(struct lib_export *export);

/* Before the handle goes: cannot fail, what rsmd cannot do any more (it is gone) is done here by moving memory. */
void lib_withdraw_destroy(struct lib_export *export);

#endif
