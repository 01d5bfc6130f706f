/* SPDX-License-Identifier: BSD-2-Clause */
/* All exports of this process, for those who move memory. Under lib_lock. */
#ifndef LIB_EXPORT_H
#define LIB_EXPORT_H

#include "lib/lib.h"

/* First of the list; go on by ->following. */
struct lib_export *lib_export_list(void);

/* In a forked child: the exports are the parent's. */
void lib_export_forked(void);

#endif
